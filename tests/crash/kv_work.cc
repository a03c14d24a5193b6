#include "tests/crash/kv_work.h"

#include <algorithm>

#include "ashlar/runtime/memory/epoch.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::crash {

namespace {

using kv::Durability;
using kv::StoredKey;

std::string text_of(const StoredKey& key) {
  return std::string(as_text(key.bytes()));
}

std::optional<std::string> text_of(const std::optional<kv::Value>& value) {
  if (!value) return std::nullopt;
  return std::string(as_text(value->bytes));
}

constexpr std::uint64_t long_ago_ms = 1;  // expired when it is written: no more than an erase
constexpr std::uint64_t far_future_ms = std::uint64_t{1} << 42;  // later than any test gets

/// Every third value expires, at a time that its number tells: so an expiry that is lost or mixed up shows.
std::uint64_t expiry_of(std::string_view value) {
  const std::uint64_t number = std::stoull(std::string(value.substr(0, value.find(':'))));
  return number % 3 == 0 ? far_future_ms + number : kv::no_expiry;
}

Task<bool> pause(Random& random) {
  if (!random.one_in(6)) co_return true;
  co_return (co_await sleep_for(std::chrono::microseconds(random.skewed(1, 20'000)))).has_value();
}

}  // namespace

std::string PartitionWork::new_value() {
  std::string value = std::to_string(++values_) + ":";
  value.resize(value.size() + (random_.one_in(30) ? random_.below(9000) : random_.below(300)));
  for (std::size_t i = value.find(':') + 1; i < value.size(); ++i)
    value[i] = static_cast<char>(random_.next());
  return value;
}

void PartitionWork::check_expiry(std::string_view value, std::uint64_t expiry_ms) {
  if (expiry_ms == expiry_of(value)) return;
  check(testing::AssertionFailure() << "expiry " << expiry_ms << " instead of " << expiry_of(value));
}

Task<Result<State>> PartitionWork::collect(kv::ScanOptions options) {
  State found;
  std::string last;
  const auto cursor = partition_.scan(options);
  while (CO_TRY(co_await cursor->next())) {
    const kv::Cursor::Item& item = cursor->item();
    const std::string key(as_text(item.key));
    const bool ordered =
        last.empty() || (options.direction == kv::Direction::forward ? last < key : key < last);
    if (!ordered) check(testing::AssertionFailure() << "a scan is out of order at " << key);
    last = key;
    check_expiry(as_text(item.value), item.expiry_ms);
    found[key] = {item.sequence, std::string(as_text(item.value))};
  }
  co_return found;
}

Task<Result<>> PartitionWork::verify() {
  const auto found = CO_TRY(co_await collect({}));
  check(model_.adopt(found));
  const auto backward =
      CO_TRY(co_await collect({.first = {}, .last = {}, .direction = kv::Direction::backward, .read = {}}));
  if (backward != found) check(testing::AssertionFailure() << "the two directions of a scan differ");
  for (const StoredKey& key : keys_) {
    const auto value = CO_TRY(co_await partition_.get(key));
    const auto there = found.find(text_of(key));
    const bool same = there == found.end() ? !value
                                           : value && value->sequence == there->second.sequence &&
                                                 text_of(value) == there->second.value;
    if (!same) check(testing::AssertionFailure() << "get and scan differ at " << as_text(key.user_key()));
  }
  co_return Result<>{};
}

Task<> PartitionWork::run(unsigned rounds) {
  TaskScope scope;
  for (int i = 0; i < 3; ++i) scope.spawn(write(rounds));
  scope.spawn(read(rounds));
  scope.spawn(read_several(rounds / 3));
  scope.spawn(scan(rounds / 6 + 1));
  co_await scope.join();
}

Task<> PartitionWork::write(unsigned rounds) {
  for (unsigned i = 0; i < rounds && going(); ++i) {
    const bool goes_on = random_.one_in(4) ? co_await transact() : co_await write_once();
    if (!goes_on || !co_await pause(random_)) co_return;
  }
}

// False where writing has come to an end. A full disk passes.
Task<bool> PartitionWork::settle(kv::Ticket ticket) {
  const bool wait = !random_.one_in(5);
  if (!wait) co_return true;
  const auto settled = co_await ticket;
  if (!settled) {
    failed_ = true;
    co_return false;
  }
  if (ticket.durability() == Durability::durable) model_.promise(ticket.sequence());
  co_return true;
}

/// Turns a put into a merge: returns the operand, and makes the change what it gives. The result's number is
/// that of the base, and so is the expiry that it must have.
std::string PartitionWork::make_operand(Change& change) {
  const Version* base = model_.newest(change.key);
  if (base == nullptr || !base->value) return *change.value;
  const std::string operand(random_.between(1, 100), 'm');
  change.value = *base->value + "," + operand;
  return operand;
}

Task<bool> PartitionWork::write_once() {
  const Durability durability = random_.one_in(8)   ? Durability::none
                                : random_.one_in(8) ? Durability::periodic
                                                    : Durability::durable;
  std::vector<Change> changes;
  std::vector<kv::Write> writes;
  const bool clear = random_.one_in(80);
  std::vector<std::string> operands(keys_.size());
  if (clear) {
    writes.push_back({.key = nullptr, .value = {}, .kind = kv::Kind::clear});
  } else if (random_.one_in(20)) {
    const StoredKey &one = any_key(), &other = any_key();
    const bool ordered = compare(one.bytes(), other.bytes()) <= 0;
    const Bytes first = (ordered ? one : other).bytes();
    const Bytes end = &one == &other ? Bytes{} : (ordered ? other : one).bytes();
    writes.push_back({.key = ordered ? &one : &other, .value = end, .kind = kv::Kind::erase_range});
    for (const StoredKey& key : keys_) {
      const bool covered = compare(first, key.bytes()) <= 0 && (end.empty() || compare(key.bytes(), end) < 0);
      if (covered) changes.push_back({text_of(key), std::nullopt});
    }
  } else {
    const std::size_t count = random_.one_in(3) ? random_.between(2, 6) : 1;
    std::vector<const StoredKey*> chosen;
    while (chosen.size() < count) {
      const StoredKey& key = any_key();
      if (std::find(chosen.begin(), chosen.end(), &key) == chosen.end()) chosen.push_back(&key);
    }
    for (const StoredKey* key : chosen) {
      const bool absent = random_.one_in(4);
      changes.push_back({text_of(*key), absent ? std::nullopt : std::optional(new_value())});
    }
    for (std::size_t i = 0; i < count; ++i) {
      const auto& value = changes[i].value;
      writes.push_back({.key = chosen[i], .value = {}, .kind = kv::Kind::erase});
      if (value && random_.one_in(4)) {
        operands[i] = make_operand(changes[i]);
        writes.back() = {.key = chosen[i],
                         .value = as_bytes(operands[i]),
                         .kind = kv::Kind::merge,
                         .expiry_ms = expiry_of(*value)};
      } else if (value) {
        writes.back() = {.key = chosen[i], .value = as_bytes(*value), .expiry_ms = expiry_of(*value)};
      } else if (random_.one_in(2)) {
        writes.back() = {.key = chosen[i], .value = as_bytes("expired"), .expiry_ms = long_ago_ms};
      }
    }
  }
  const auto ticket = partition_.append(writes, durability);
  if (!ticket) {
    if (ticket.error().code == Errc::no_space || ticket.error().code == Errc::no_memory) co_return true;
    failed_ = true;
    co_return false;
  }
  clear ? model_.clear(ticket->sequence()) : model_.append(ticket->sequence(), std::move(changes));
  co_return co_await settle(*ticket);
}

// Reads a key and writes it and another; what was read must be the newest at the commit.
Task<bool> PartitionWork::transact() {
  const StoredKey& first = any_key();
  const StoredKey& second = any_key();
  kv::Transaction step(partition_);
  const auto old = co_await step.get(first);
  if (!old) co_return true;
  const std::optional<std::string> was = text_of(*old);
  const std::string value = new_value();
  std::vector<Change> changes;
  step.put(second, as_bytes(value), expiry_of(value));
  if (&first != &second) step.erase(first);
  const Version* newest = model_.newest(text_of(first));
  const bool right = was == (newest == nullptr ? std::nullopt : newest->value);
  const auto ticket = step.commit(Durability::durable);
  if (!ticket) {
    if (ticket.error().code == Errc::conflict || ticket.error().code == Errc::no_space) co_return true;
    failed_ = true;
    co_return false;
  }
  if (!right)
    check(testing::AssertionFailure()
          << "a transaction rested on an old state of " << as_text(first.user_key()));
  if (&first != &second) changes.push_back({text_of(first), std::nullopt});
  changes.push_back({text_of(second), value});
  model_.append(ticket->sequence(), std::move(changes));
  co_return co_await settle(*ticket);
}

void PartitionWork::saw(const StoredKey& key, const kv::Read& read, Sequence since) {
  if (!read.result) return;
  const auto& value = *read.result;
  if (value) check_expiry(as_text(value->bytes), value->expiry_ms);
  check(model_.shown(text_of(key), text_of(value), value ? value->sequence : read.seen, since));
}

Task<> PartitionWork::read(unsigned rounds) {
  for (unsigned i = 0; i < rounds && going(); ++i) {
    const StoredKey& key = any_key();
    const Sequence since = model_.promised();
    kv::Get get = partition_.get(key);
    const auto value = co_await get;
    if (value)
      check(model_.shown(text_of(key), text_of(*value), *value ? (*value)->sequence : get.seen(), since));
    if (!co_await pause(random_)) co_return;
  }
}

Task<> PartitionWork::read_several(unsigned rounds) {
  for (unsigned i = 0; i < rounds && going(); ++i) {
    std::vector<kv::Read> reads(random_.between(1, 8));
    std::vector<const StoredKey*> chosen;
    for (kv::Read& read : reads) {
      chosen.push_back(&any_key());
      read.key = chosen.back();
    }
    const Sequence since = model_.promised();
    co_await partition_.multi_get(reads);
    for (std::size_t k = 0; k < reads.size(); ++k) saw(*chosen[k], reads[k], since);
    if (!co_await pause(random_)) co_return;
  }
}

// A range at a snapshot, twice: the same both times, and what the model says.
Task<> PartitionWork::scan(unsigned rounds) {
  for (unsigned i = 0; i < rounds && going(); ++i) {
    const kv::Snapshot snapshot(partition_);
    const StoredKey& from = any_key();
    const StoredKey& to = any_key();
    kv::ScanOptions options{.first = from.bytes(),
                            .last = to.bytes(),
                            .direction = random_.one_in(2) ? kv::Direction::forward : kv::Direction::backward,
                            .read = {.durability = Durability::durable, .snapshot = &snapshot}};
    if (random_.one_in(3)) options.first = {};
    if (random_.one_in(3)) options.last = {};
    auto expected = model_.all_at(snapshot.sequence());
    std::erase_if(expected, [&](const auto& entry) {
      const Bytes key = as_bytes(entry.first);
      return (!options.first.empty() && compare(key, options.first) < 0) ||
             (!options.last.empty() && compare(key, options.last) >= 0);
    });
    for (int again = 0; again < 2 && going(); ++again) {
      const auto found = co_await collect(options);
      if (!found) co_return;
      if (partition_.stop_reason()) co_return;  // what was not durable is not shown any more
      if (*found != expected) {
        check(testing::AssertionFailure()
              << "a scan at " << snapshot.sequence().value << ": " << difference(*found, expected));
      }
      for (const auto& [key, version] : *found) model_.promise(version.sequence);
      if (!co_await pause(random_)) co_return;
    }
  }
}

void PartitionWork::peek(Random& random) {
  const StoredKey& key = keys_[random.below(keys_.size())];
  const Sequence since = model_.promised();
  const epoch::Guard guard;
  kv::Peek found;
  if (!partition_.peek(key, Durability::durable, found)) return;
  const auto value = found.present ? std::optional(std::string(as_text(found.value))) : std::nullopt;
  check(model_.shown(text_of(key), value, found.sequence, since));
}

}  // namespace ashlar::crash

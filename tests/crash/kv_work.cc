#include "tests/crash/kv_work.h"

#include <algorithm>
#include <cstring>

#include "ashlar/runtime/memory/epoch.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::crash {

namespace {

using kv::Durability;
using kv::StoredKey;

std::optional<std::string> text_of(const std::optional<kv::Value>& value) {
  if (!value) return std::nullopt;
  return std::string(as_text(value->bytes));
}

constexpr std::uint64_t long_ago_ms = 1;  // expired when it is written: no more than an erase
Task<bool> pause(Random& random) {
  if (!random.one_in(6)) co_return true;
  co_return (co_await sleep_for(std::chrono::microseconds(random.skewed(1, 20'000)))).has_value();
}

}  // namespace

std::string make_value(Random& random, std::uint64_t number, std::uint64_t life) {
  std::string value = std::to_string(number);
  if (random.one_in(5))
    value += "f";
  else if (random.one_in(5))
    value += "x" + std::to_string(life + random.below(3));
  value += ':';
  std::size_t at = value.size();
  value.resize(at + (random.one_in(30) ? random.below(9000) : random.below(300)));
  while (at < value.size()) {
    const std::uint64_t bytes = random.next();
    const std::size_t count = std::min(sizeof bytes, value.size() - at);
    std::memcpy(value.data() + at, &bytes, count);
    at += count;
  }
  return value;
}

void PartitionWork::check_expiry(std::string_view value, std::uint64_t expiry_ms) {
  if (expiry_ms == expiry_of(value)) return;
  check(testing::AssertionFailure() << "expiry " << expiry_ms << " instead of " << expiry_of(value));
}

Task<Result<State>> PartitionWork::collect(kv::ScanOptions options) {
  ++operations_;
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
    if (!store_.counts(key)) continue;
    check_expiry(as_text(item.value), item.expiry_ms);
    found[key] = {item.sequence, std::string(as_text(item.value))};
  }
  co_return found;
}

Task<Result<>> PartitionWork::verify() {
  const State found = CO_TRY(co_await collect({}));
  const auto backward =
      CO_TRY(co_await collect({.first = {}, .last = {}, .direction = kv::Direction::backward, .read = {}}));
  if (backward != found) check(testing::AssertionFailure() << "the two directions of a scan differ");
  for (const StoredKey& key : keys_) {
    ++operations_;
    const auto value = CO_TRY(co_await partition_.get(key));
    const auto there = found.find(text_of(key));
    const bool same = there == found.end() ? !value
                                           : value && value->sequence == there->second.sequence &&
                                                 text_of(value) == there->second.value;
    if (!same) check(testing::AssertionFailure() << "get and scan differ at " << as_text(key.user_key()));
  }
  found_ = found;
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

// False where writing has come to an end.
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

/// What one append does, and what it makes of the model.
struct PartitionWork::Batch {
  bool clear = false;
  std::vector<Change> changes;
  std::vector<kv::Write> writes;
  std::vector<std::string> operands;
};

void PartitionWork::fill_range(Batch& batch) {
  const StoredKey &one = any_key(), &other = any_key();
  const bool ordered = compare(one.bytes(), other.bytes()) <= 0;
  const Bytes first = (ordered ? one : other).bytes();
  const Bytes end = &one == &other ? Bytes{} : (ordered ? other : one).bytes();
  batch.writes.push_back({.key = ordered ? &one : &other, .value = end, .kind = kv::Kind::erase_range});
  // Also of keys that are none of this life's.
  for (const std::string& key : model_.keys()) {
    const Bytes bytes = as_bytes(key);
    const bool covered = compare(first, bytes) <= 0 && (end.empty() || compare(bytes, end) < 0);
    if (covered) batch.changes.push_back({key, std::nullopt});
  }
}

void PartitionWork::fill(Batch& batch) {
  const std::size_t count = random_.one_in(3) ? random_.between(2, 6) : 1;
  std::vector<const StoredKey*> chosen;
  while (chosen.size() < count) {
    const StoredKey& key = any_key();
    if (std::find(chosen.begin(), chosen.end(), &key) == chosen.end()) chosen.push_back(&key);
  }
  for (const StoredKey* key : chosen) {
    const bool absent = random_.one_in(4);
    batch.changes.push_back({text_of(*key), absent ? std::nullopt : std::optional(new_value())});
  }
  batch.operands.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& value = batch.changes[i].value;
    batch.writes.push_back({.key = chosen[i], .value = {}, .kind = kv::Kind::erase});
    // What the operand is merged into must be known.
    if (value && random_.one_in(4) && !model_.open(batch.changes[i].key)) {
      batch.operands[i] = make_operand(batch.changes[i]);
      batch.writes.back() = {.key = chosen[i],
                             .value = as_bytes(batch.operands[i]),
                             .kind = kv::Kind::merge,
                             .expiry_ms = expiry_of(*value)};
    } else if (value) {
      batch.writes.back() = {.key = chosen[i], .value = as_bytes(*value), .expiry_ms = expiry_of(*value)};
    } else if (random_.one_in(2)) {
      batch.writes.back() = {.key = chosen[i], .value = as_bytes("expired"), .expiry_ms = long_ago_ms};
    }
  }
}

/// Errors after which writing goes on: a full disk, and keys that a transaction has locked.
bool PartitionWork::passes(const Error& error) {
  const bool pass = error.code == Errc::no_space || error.code == Errc::no_memory ||
                    error.code == Errc::busy || error.code == Errc::conflict;
  failed_ |= !pass;
  return pass;
}

Task<bool> PartitionWork::write_once() {
  const Durability durability = random_.one_in(8)   ? Durability::none
                                : random_.one_in(8) ? Durability::periodic
                                                    : Durability::durable;
  Batch batch;
  if (random_.one_in(80)) {
    batch.clear = true;
    batch.writes.push_back({.key = nullptr, .value = {}, .kind = kv::Kind::clear});
  } else if (random_.one_in(20)) {
    fill_range(batch);
  } else {
    fill(batch);
  }
  ++operations_;
  const auto ticket = partition_.append(batch.writes, durability);
  if (!ticket) co_return passes(ticket.error());
  batch.clear ? model_.clear(ticket->sequence())
              : model_.append(ticket->sequence(), std::move(batch.changes));
  co_return co_await settle(*ticket);
}

// Reads a key and writes it and another; what was read must be the newest at the commit.
Task<bool> PartitionWork::transact() {
  const StoredKey& first = any_key();
  const StoredKey& second = any_key();
  kv::Transaction step(partition_);
  operations_ += 2;
  const auto old = co_await step.get(first);
  if (!old) co_return true;
  const std::optional<std::string> was = text_of(*old);
  if (*old) store_.saw(id_, text_of(first), *was, (*old)->sequence);
  const std::string value = new_value();
  std::vector<Change> changes;
  step.put(second, as_bytes(value), expiry_of(value));
  if (&first != &second) step.erase(first);
  const Version* newest = model_.newest(text_of(first));
  const bool right = model_.open(text_of(first)) || was == (newest == nullptr ? std::nullopt : newest->value);
  const auto ticket = step.commit(Durability::durable);
  if (!ticket) co_return passes(ticket.error());
  if (!right)
    check(testing::AssertionFailure()
          << "a transaction rested on an old state of " << as_text(first.user_key()));
  if (&first != &second) changes.push_back({text_of(first), std::nullopt});
  changes.push_back({text_of(second), value});
  model_.append(ticket->sequence(), std::move(changes));
  co_return co_await settle(*ticket);
}

void PartitionWork::saw(const StoredKey& key, const std::optional<kv::Value>& value, Sequence seen,
                        Sequence since) {
  if (value) check_expiry(as_text(value->bytes), value->expiry_ms);
  if (value) store_.saw(id_, text_of(key), *text_of(value), value->sequence);
  check(model_.shown(text_of(key), text_of(value), value ? value->sequence : seen, since));
}

Task<> PartitionWork::read(unsigned rounds) {
  for (unsigned i = 0; i < rounds && going(); ++i) {
    const StoredKey& key = any_key();
    const Sequence since = model_.promised();
    ++operations_;
    kv::Get get = partition_.get(key);
    const auto value = co_await get;
    if (value) saw(key, *value, get.seen(), since);
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
    ++operations_;
    co_await partition_.multi_get(reads);
    for (std::size_t k = 0; k < reads.size(); ++k) {
      if (reads[k].result) saw(*chosen[k], *reads[k].result, reads[k].seen, since);
    }
    if (!co_await pause(random_)) co_return;
  }
}

// A range at a snapshot, twice: the same both times, and what the model says.
Task<> PartitionWork::scan(unsigned rounds) {
  for (unsigned i = 0; i < rounds && going(); ++i) {
    const kv::Snapshot snapshot(partition_);
    const std::string from = random_.one_in(3) ? "" : text_of(any_key());
    const std::string to = random_.one_in(3) ? "" : text_of(any_key());
    const kv::ScanOptions options{
        .first = as_bytes(from),
        .last = as_bytes(to),
        .direction = random_.one_in(2) ? kv::Direction::forward : kv::Direction::backward,
        .read = {.durability = Durability::durable, .snapshot = &snapshot}};
    for (int again = 0; again < 2 && going(); ++again) {
      const auto found = co_await collect(options);
      if (!found) co_return;
      if (partition_.stop_reason()) co_return;  // what was not durable is not shown any more
      store_.saw(id_, *found);
      check(model_.scanned(*found, snapshot.sequence(), from, to));
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
  ++operations_;
  if (!partition_.peek(key, Durability::durable, found)) return;
  const auto value = found.present ? std::optional(std::string(as_text(found.value))) : std::nullopt;
  if (value) store_.saw(id_, text_of(key), *value, found.sequence);
  check(model_.shown(text_of(key), value, found.sequence, since));
}

}  // namespace ashlar::crash

#include "tests/consistency/client.h"

#include <array>
#include <chrono>
#include <sstream>
#include <thread>

#include "ashlar/base/result.h"

namespace ashlar::consistency {

namespace {

using End = ListTransaction::End;

constexpr std::size_t list_count = 6, register_count = 4;

std::string list_name(std::size_t i) {
  return "list-" + std::to_string(i);
}
std::string register_name(std::size_t i) {
  return "register-" + std::to_string(i);
}

/// Of one clock for all threads, and for the processes that follow each other.
std::uint64_t now() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

// Numbers, and then as much as makes the value as long as it is to be.
List parse_list(std::string_view text) {
  List list;
  std::istringstream words{std::string(text)};
  for (std::uint64_t number = 0; words >> number;) list.push_back(number);
  return list;
}
List parse_list(const std::optional<std::string>& text) {
  return text ? parse_list(std::string_view(*text)) : List();
}
RegisterValue parse_register(std::string_view text) {
  return std::stoull(std::string(text));
}
RegisterValue parse_register(const std::optional<std::string>& text) {
  return text ? parse_register(std::string_view(*text)) : RegisterValue();
}

}  // namespace

std::vector<std::string> boundaries_of_clients() {
  return {list_name(3), register_name(2)};
}

std::string Client::text_of(std::uint64_t number) {
  std::string text = std::to_string(number) + ' ';
  if (random_.one_in(3)) text += std::string(random_.skewed(1, 6000), 'v');  // some stand in value tables
  return text;
}

/// Conflicts, and locks that were not to be had in time, are part of it.
bool Client::passes(const Error& error) {
  if (error.code == Errc::conflict || error.code == Errc::timed_out) return true;
  if (!wrong_) wrong_ = error.to_string();
  return false;
}

void Client::note(const ListTransaction& transaction, std::uint64_t number) {
  if (plan_.journal != nullptr) plan_.journal->write(number, transaction);
}

void Client::write_is_under_way(std::uint64_t number, const std::string& key,
                                const RegisterOperation& operation) {
  if (plan_.journal != nullptr) plan_.journal->write(number, key, operation);
}

void Client::written(std::uint64_t number, const std::string& key, RegisterOperation operation,
                     const Result<>& done) {
  operation.returned = now();
  operation.certain = done.has_value();
  if (!done) {
    (void)passes(done.error());
    return;
  }
  if (plan_.journal != nullptr) plan_.journal->write(number, key, operation);
  registers_.emplace_back(key, operation);
}

void Client::was_read(const std::string& key, std::uint64_t invoked, RegisterValue value) {
  const RegisterOperation operation{.invoked = invoked, .returned = now(), .write = false, .value = value};
  if (plan_.journal != nullptr) plan_.journal->write(++last_, key, operation);
  registers_.emplace_back(key, operation);
}

void Client::run() {
  constexpr std::array<void (Client::*)(), 14> actions = {
      &Client::transact,   &Client::transact,       &Client::transact,    &Client::transact,
      &Client::transact,   &Client::append_by_swap, &Client::look_at_all, &Client::put,
      &Client::put,        &Client::put_several,    &Client::swap,        &Client::get,
      &Client::get_pinned, &Client::get_several};
  for (unsigned i = 0; i < plan_.rounds && !wrong_; ++i) {
    (this->*actions[random_.below(actions.size())])();
    if (random_.one_in(8)) std::this_thread::sleep_for(std::chrono::microseconds(random_.below(300)));
  }
}

void Client::transact() {
  const bool locking = random_.one_in(3);
  ListTransaction record{.begun = now(), .ended = 0, .reads = {}, .appends = {}};
  auto step = db_.begin({.isolation = plan_.serializable ? Isolation::serializable : Isolation::snapshot,
                         .locking = locking ? Locking::row_locks : Locking::optimistic,
                         .lock_wait = std::chrono::milliseconds(20)});
  if (!step) return (void)passes(step.error());
  Result<> done = read_some(*step, record);
  if (done && !random_.one_in(4)) done = append_some(*step, record);
  const std::uint64_t number = ++last_;
  if (done) {
    note(record, number);
    done = step->commit();
  } else {
    step->rollback();
  }
  record.ended = now();
  record.end = done ? End::committed : End::aborted;
  if (!done && !passes(done.error())) return;
  note(record, number);
  transactions_.push_back(std::move(record));
}

Result<> Client::read_some(Transaction& step, ListTransaction& record) {
  const std::size_t first = random_.below(list_count), count = random_.between(1, list_count);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(list_name((first + i) % list_count));
  if (random_.one_in(2)) {
    const std::vector<std::string_view> keys(names.begin(), names.end());
    const auto values = TRY(step.multi_get(keys));
    for (std::size_t i = 0; i < count; ++i) record.reads[names[i]] = parse_list(values[i]);
    return {};
  }
  for (const std::string& name : names) {
    record.reads[name] = parse_list(TRY(step.get(name)));
    if (random_.one_in(6)) std::this_thread::yield();
  }
  return {};
}

Result<> Client::append_some(Transaction& step, ListTransaction& record) {
  for (std::size_t i = random_.between(1, 3); i-- > 0;) {
    const std::string name = list_name(random_.below(list_count));
    if (record.appends.contains(name)) continue;
    const List list = parse_list(TRY(step.get(name)));
    record.reads.emplace(name, list);
    std::string text;
    for (const std::uint64_t number : list) text += std::to_string(number) + ' ';
    const std::uint64_t own = ++last_;
    TRY(step.put(name, text + text_of(own)));
    record.appends[name] = own;
  }
  return {};
}

// A transaction of one call: what it found is what it had read before.
void Client::append_by_swap() {
  const std::string name = list_name(random_.below(list_count));
  const auto found = reader_.get(name);
  if (!found) return (void)passes(found.error());
  ListTransaction record{
      .begun = now(), .ended = 0, .reads = {{name, parse_list(*found)}}, .appends = {{name, ++last_}}};
  std::string text;
  for (const std::uint64_t number : record.reads[name]) text += std::to_string(number) + ' ';
  text += text_of(last_);
  const std::uint64_t number = ++last_;
  note(record, number);
  const auto swapped = db_.compare_and_swap(name, *found, text);
  record.ended = now();
  record.end = swapped && *swapped ? End::committed : End::aborted;
  if (!swapped && !passes(swapped.error())) return;
  note(record, number);
  transactions_.push_back(std::move(record));
}

void Client::look_at_all() {
  ListTransaction record{.begun = now(), .ended = 0, .reads = {}, .appends = {}, .end = End::committed};
  auto found = random_.one_in(2) ? read_snapshot() : walk();
  if (!found) return (void)passes(found.error());
  record.ended = now();
  record.reads = *std::move(found);
  note(record, ++last_);
  transactions_.push_back(std::move(record));
}

Result<Client::ListRead> Client::read_snapshot() {
  const Snapshot snapshot = TRY(db_.snapshot());
  const Reader reader = db_.reader({.snapshot = &snapshot});
  ListRead lists;
  for (std::size_t i = list_count; i-- > 0;) {
    lists[list_name(i)] = parse_list(TRY(reader.get(list_name(i))));
    if (random_.one_in(3)) std::this_thread::yield();
  }
  return lists;
}

Result<Client::ListRead> Client::walk() {
  Iterator it = TRY(db_.iterate({.prefix = "list-"}));
  ListRead lists;
  for (std::size_t i = 0; i < list_count; ++i) lists[list_name(i)] = {};
  const bool backward = random_.one_in(2);
  for (bool more = backward ? it.seek_last() : it.seek_first(); more;
       more = backward ? it.previous() : it.next())
    lists[std::string(it.key())] = parse_list(it.value());
  TRY(it.status());
  return lists;
}

void Client::put() {
  const std::string key = register_name(random_.below(register_count));
  const bool erase = random_.one_in(6);
  // Of what is not durable a killed process has nothing to show.
  const bool durable = plan_.journal != nullptr || !random_.one_in(3);
  const WriteOptions options{.durability = durable ? Durability::durable : Durability::none};
  const std::uint64_t number = ++last_;
  const RegisterOperation operation{.invoked = now(),
                                    .returned = 0,
                                    .write = true,
                                    .value = erase ? std::nullopt : std::optional(number),
                                    .certain = false};
  write_is_under_way(number, key, operation);
  const Result<> done = erase ? db_.erase(key, options) : db_.put(key, text_of(number), options);
  written(number, key, operation, done);
}

void Client::put_several() {
  std::array<std::string, register_count> values;
  std::array<PendingPut, register_count> puts;  // end before the values do
  std::array<RegisterOperation, register_count> operations;
  const std::size_t first = random_.below(register_count), count = random_.between(1, register_count);
  for (std::size_t i = 0; i < count && !wrong_; ++i) {
    const std::uint64_t number = ++last_;
    operations[i] = {.invoked = now(), .returned = 0, .write = true, .value = number, .certain = false};
    const std::string key = register_name((first + i) % register_count);
    values[i] = text_of(number);
    write_is_under_way(number, key, operations[i]);
    if (const auto begun = db_.put_async(key, values[i], puts[i]); !begun) return (void)passes(begun.error());
  }
  for (std::size_t i = 0; i < count; ++i)
    written(*operations[i].value, register_name((first + i) % register_count), operations[i], puts[i].wait());
}

void Client::swap() {
  const std::string key = register_name(random_.below(register_count));
  const auto found = reader_.get(key);
  if (!found) return (void)passes(found.error());
  const std::uint64_t number = ++last_;
  RegisterOperation operation{.invoked = now(),
                              .returned = 0,
                              .write = true,
                              .value = number,
                              .certain = false,
                              .expected = parse_register(*found)};
  write_is_under_way(number, key, operation);
  const auto swapped = db_.compare_and_swap(key, *found, text_of(number));
  operation.write = !swapped || *swapped;
  written(number, key, operation, swapped ? Result<>() : std::unexpected(swapped.error()));
}

void Client::get() {
  const std::string key = register_name(random_.below(register_count));
  const std::uint64_t invoked = now();
  if (random_.one_in(2)) {
    std::string value;
    const auto found = reader_.get(key, value);
    if (!found) return (void)passes(found.error());
    return was_read(key, invoked, *found ? parse_register(std::string_view(value)) : RegisterValue());
  }
  PendingGet get;
  if (const auto begun = db_.get_async(key, get); !begun) return (void)passes(begun.error());
  const auto found = get.wait();
  if (!found) return (void)passes(found.error());
  was_read(key, invoked, *found ? parse_register(std::string_view(get.value())) : RegisterValue());
}

// What is pinned stays as it is, whatever becomes of the key.
void Client::get_pinned() {
  const std::string key = register_name(random_.below(register_count));
  const std::uint64_t invoked = now();
  PinnedValue value;
  const auto found = reader_.get(key, value);
  if (!found) return (void)passes(found.error());
  was_read(key, invoked, *found ? parse_register(value.view()) : RegisterValue());
  if (!*found) return;
  const std::string copy(value.view());
  std::this_thread::yield();
  if (copy != value.view()) wrong_ = "a pinned value of " + key + " has changed";
}

void Client::get_several() {
  std::array<std::string, register_count> names;
  for (std::size_t i = 0; i < register_count; ++i) names[i] = register_name(i);
  const std::vector<std::string_view> keys(names.begin(), names.end());
  const std::uint64_t invoked = now();
  const auto values = db_.multi_get(keys);
  if (!values) return (void)passes(values.error());
  for (std::size_t i = 0; i < register_count; ++i) was_read(names[i], invoked, parse_register((*values)[i]));
}

void Client::record(ListHistory& lists, RegisterHistory& registers) {
  for (ListTransaction& transaction : transactions_) lists.add(std::move(transaction));
  for (const auto& [key, operation] : registers_) registers.add(key, operation);
}

Result<std::map<std::string, List>> lists_of(const Db& db) {
  std::map<std::string, List> lists;
  Iterator it = TRY(db.iterate({.prefix = "list-"}));
  for (bool more = it.seek_first(); more; more = it.next())
    lists[std::string(it.key())] = parse_list(it.value());
  TRY(it.status());
  return lists;
}

namespace {

constexpr std::uint64_t other_keys = 800;  // of about 3 KB: more than the smallest cache

std::string other_key(std::uint64_t i) {
  constexpr const char* places[] = {"a", "m", "z"};  // one in each partition
  return places[i % 3] + std::to_string(i);
}
/// The key, and how often it was written.
std::string other_value(std::uint64_t i, std::uint64_t times, std::size_t bytes) {
  return other_key(i) + '#' + std::to_string(times) + '#' + std::string(bytes, 'o');
}

}  // namespace

std::optional<std::string> disturb(Db& db, std::uint64_t seed, const std::atomic<bool>& end) {
  Random random(seed);
  std::vector<std::uint64_t> times(other_keys);
  const Reader reader = db.reader();
  PinnedValue value;
  while (!end.load(std::memory_order_relaxed)) {
    const std::uint64_t i = random.below(other_keys);
    const auto found = reader.get(other_key(i), value);
    if (!found) return found.error().to_string();
    const std::string is = other_key(i) + '#' + std::to_string(times[i]) + '#';
    if (times[i] != 0 && (!*found || !value.view().starts_with(is))) return "not " + is;
    value.reset();
    const std::string written = other_value(i, ++times[i], random.one_in(4) ? 5000 : 2500);
    const Result<> put = db.put(other_key(i), written, {.durability = Durability::none});
    if (!put) return put.error().to_string();
    if (random.one_in(100)) {
      const Result<> done = random.one_in(2) ? db.flush() : db.compact();
      if (!done) return done.error().to_string();
    }
  }
  return std::nullopt;
}

}  // namespace ashlar::consistency

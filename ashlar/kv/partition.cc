#include "ashlar/kv/partition.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "ashlar/kv/store_clock.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::kv {

Snapshot::Snapshot(Partition& partition)
    : partition_(&partition),
      home_(Shard::current().id()),
      sequence_(partition.last_sequence()),
      now_ms_(partition.now_ms()) {
  partition.snapshots_.push_back(*this);
}
Snapshot::Snapshot(StoreClock& clock) : clock_(&clock), home_(Shard::current().id()), now_ms_(0) {
  clock.enter(*this);
}
Snapshot::~Snapshot() {
  if (clock_ != nullptr) {
    clock_->leave(*this);
    return;
  }
  unlink();
  partition_->snapshot_released();
}

void Ticket::Awaiter::await_suspend(std::coroutine_handle<> suspended) noexcept {
  waiter_.arm(suspended);
  Partition& partition = *ticket_.partition_;
  auto& waiting = partition.waiting_;
  auto position = waiting.end();
  while (position != waiting.begin()) {
    auto before = std::prev(position);
    if (before->ticket_.sequence_ <= ticket_.sequence_) break;
    position = before;
  }
  if (position == waiting.end()) {
    waiting.push_back(*this);
  } else {
    waiting.insert_before(*position, *this);
  }
  if (when != never) {
    fire = [](Timer& timer) noexcept {
      auto& self = static_cast<Awaiter&>(timer);
      self.timed_out_ = true;
      self.settle();
    };
    Shard::current().timers().arm(*this, when);
  }
  if (ticket_.durability_ == Durability::durable) partition.hurry(ticket_.sequence_);
}

void Ticket::Awaiter::settle() noexcept {
  if (armed) Shard::current().timers().disarm(*this);
  unlink();
  waiter_.make_ready();
}

Result<> Ticket::Awaiter::await_resume() const noexcept {
  const Partition* partition = ticket_.partition_;
  if (timed_out_) return fail(Errc::timed_out, "write");
  if (partition == nullptr || ticket_.sequence_ <= partition->durable_sequence()) return {};
  if (!partition->stop_reason_) return {};
  const Error& why = *partition->stop_reason_;
  return std::unexpected(Error{Errc::stopped, why.native, "write", why.object, why.offset});
}

std::coroutine_handle<> Get::await_suspend(std::coroutine_handle<> suspended) {
  miss_ = partition_.look_up_on_device(read_);
  return miss_.operator co_await().await_suspend(suspended);
}

bool MultiGet::await_ready() noexcept {
  return partition_.look_up_all(reads_);
}

std::coroutine_handle<> MultiGet::await_suspend(std::coroutine_handle<> suspended) {
  misses_ = partition_.look_up_on_device(reads_);
  return misses_.operator co_await().await_suspend(suspended);
}

Partition::~Partition() {
  assert(waiting_.empty() && snapshots_.empty() && callbacks_.empty() && "closed while in use");
}

bool Partition::look_up_all(std::span<Read> reads) noexcept {
  bool all = true;
  for (Read& read : reads) all = look_up(read) && all;
  return all;
}

void Partition::expect(std::span<const StoredKey* const>, bool) const noexcept {}

Ticket Partition::sync() noexcept {
  return Ticket(*this, last_sequence_, Durability::durable, false);
}

void Partition::appended(Sequence sequence, std::span<const Write> writes) noexcept {
  assert(sequence > last_sequence_);
  last_sequence_ = sequence;
  for (const Write& write : writes) {
    if (write.kind == Kind::clear || write.kind == Kind::erase_range) {
      std::fill_n(last_write_.get(), conflict_slots, sequence);
      return;
    }
    last_write_[write.key->hash() % conflict_slots] = sequence;
  }
}

void Partition::revealed(std::span<const Write> writes, Sequence at) noexcept {
  for (const Write& write : writes) {
    Sequence& last = last_write_[write.key->hash() % conflict_slots];
    last = std::max(last, at);
  }
}

void Partition::revealed(Sequence written, Sequence at) {
  const Sequence oldest = snapshot_horizon().sequence;
  std::erase_if(late_, [&](const Late& late) { return late.at <= oldest; });
  late_.push_back({written, at});
  for (std::size_t i = 0; i < conflict_slots; ++i) last_write_[i] = std::max(last_write_[i], at);
}

bool Partition::appeared_after(Sequence seen, Sequence since) const noexcept {
  return std::ranges::any_of(late_, [&](const Late& late) {
    return late.written == seen && late.written < since && since < late.at;
  });
}

Partition::SnapshotHorizon Partition::snapshot_horizon() noexcept {
  SnapshotHorizon horizon{last_sequence_, now_ms()};
  if (store_clock_ != nullptr) {  // after last_sequence_ was read
    const StoreClock::Horizon store = store_clock_->horizon();
    horizon = {std::min(horizon.sequence, store.sequence), std::min(horizon.now_ms, store.now_ms)};
  }
  if (!snapshots_.empty()) horizon.sequence = std::min(horizon.sequence, snapshots_.front().sequence());
  for (const Snapshot& snapshot : snapshots_) horizon.now_ms = std::min(horizon.now_ms, snapshot.now_ms());
  return horizon;
}

void Partition::restore(Sequence sequence) noexcept {
  last_sequence_ = sequence;
  durable_.store(sequence.value, std::memory_order_release);
}

void Partition::settle(Sequence sequence) noexcept {
  assert(sequence <= last_sequence_ && sequence >= durable_sequence());
  durable_.store(sequence.value, std::memory_order_release);
  wake();
  while (!callbacks_.empty() && callbacks_.front().sequence_ <= sequence) {
    callbacks_.pop_front()->committed({});
  }
}

void Partition::stop(const Error& why) noexcept {
  if (!stop_reason_) stop_reason_ = why;
  wake();
  fail_callbacks({Errc::stopped, why.native, "write", why.object, why.offset});
}

void Partition::set_stalled(bool stalled) noexcept {
  if (stalled_ == stalled) return;
  stalled_ = stalled;
  if (!stalled) wake();
}

void Partition::hold_from(Sequence sequence) noexcept {
  const bool more = sequence > std::exchange(held_from_, sequence);
  if (more) wake();
}

/// Settles what may settle. Waiters are in order of their sequence, but one that waived durability may be
/// ready behind one that did not, so all are looked at; there are as many as there are tasks that write.
void Partition::wake() noexcept {
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    Ticket::Awaiter& awaiter = *at++;
    if (!awaiter.ticket_.settled()) continue;
    awaiter.settle();
  }
}

Result<Ticket> Partition::erase_range(Bytes first, Bytes end, const WriteOptions& options) {
  if (first.empty() || first.size() > stored_key_bytes_max) return fail(Errc::invalid, "range of keys");
  const StoredKey key = StoredKey::from_stored(first);
  return append({.key = &key, .value = end, .kind = Kind::erase_range}, options);
}

Task<Result<Sequence>> Partition::write(std::span<const Write> writes, WriteOptions options) {
  if (options.deadline != never && Shard::current().now() >= options.deadline)
    co_return fail(Errc::timed_out, "write");
  const Ticket ticket = CO_TRY(append(writes, options));
  const Receipt::Time waited(options.receipt, &Receipt::queue_time);
  CO_TRY(co_await ticket.until(options.deadline));
  co_return ticket.sequence();
}

void Partition::call_back(CommitCallback& callback, Sequence sequence) noexcept {
  callback.sequence_ = sequence;
  callbacks_.push_back(callback);
}

void Partition::fail_callbacks(const Error& why) noexcept {
  while (CommitCallback* callback = callbacks_.pop_front()) callback->committed(std::unexpected(why));
}

}  // namespace ashlar::kv

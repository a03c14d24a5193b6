#include "ashlar/kv/lock_table.h"

#include <algorithm>
#include <cassert>

#include "ashlar/kv/partition.h"
#include "ashlar/runtime/sync/deadline.h"

namespace ashlar::kv {

LockTable::~LockTable() {
  assert(std::ranges::all_of(locks_, [](const auto& lock) { return lock.second->waiting == 0; }));
}

LockTable::Lock* LockTable::find(Bytes key) const noexcept {
  const auto found = locks_.find(as_text(key));
  return found == locks_.end() ? nullptr : found->second.get();
}

LockTable::Lock& LockTable::find_or_add(const StoredKey& key) {
  if (Lock* found = find(key.bytes())) return *found;
  auto made = std::make_unique<Lock>();
  made->key = as_text(key.bytes());
  made->hash = key.hash();
  Lock& lock = *made;
  locks_.emplace(lock.key, std::move(made));
  return lock;
}

void LockTable::drop_if_unused(Lock& lock) noexcept {
  if (lock.holder == no_owner && lock.waiting == 0) locks_.erase(std::string_view(lock.key));
}

void LockTable::take(Lock& lock, LockOwner owner) {
  lock.holder = owner;
  held_[owner].push_back(&lock);
}

void LockTable::mark(std::uint64_t hash, int change) noexcept {
  auto& mark = marks_[hash % marks_count];
  mark.store(mark.load(std::memory_order_relaxed) + static_cast<std::uint32_t>(change),
             std::memory_order_release);
}

bool LockTable::try_lock(const StoredKey& key, LockOwner owner) {
  Lock& lock = find_or_add(key);
  if (lock.holder == owner) return true;
  if (lock.holder != no_owner || !lock.queue.empty()) return false;
  take(lock, owner);
  return true;
}

Task<Result<>> LockTable::lock(const StoredKey& key, LockOwner owner, Instant deadline) {
  if (try_lock(key, owner)) co_return Result<>{};
  Lock& lock = *find(key.bytes());
  ++lock.waiting;
  lock.queue.push_back(owner);
  Result<> waited;
  while (waited && (lock.holder != no_owner || lock.queue.front() != owner)) {
    waited = co_await wait_for_holder(lock, deadline);
  }
  std::erase(lock.queue, owner);
  --lock.waiting;
  if (waited) {
    take(lock, owner);
  } else {
    lock.changed.notify_all();
    drop_if_unused(lock);
    waited.error().where = "row lock";
  }
  co_return waited;
}

Task<Result<>> LockTable::wait(Lock& lock) {
  co_return co_await lock.changed.wait();
}

Task<Result<>> LockTable::wait_for_holder(Lock& lock, Instant deadline) {
  if (ended_) co_return fail(Errc::cancelled, "lock");
  co_return co_await with_deadline(deadline, wait(lock));
}

void LockTable::end_waiting() noexcept {
  ended_ = true;
  for (const auto& [key, lock] : locks_) lock->changed.notify_all();  // makes ready, resumes nobody
}

void LockTable::commits_at([[maybe_unused]] LockOwner owner, std::span<const Write> writes,
                           Sequence reserved) {
  for (const Write& write : writes) {
    Lock* lock = find(write.key->bytes());
    assert(lock != nullptr && lock->holder == owner);
    if (lock->committing != sequence_max) continue;
    lock->committing = reserved;
    ++committing_;
    mark(lock->hash, 1);
  }
}

void LockTable::recall(LockOwner owner) noexcept {
  const auto held = held_.find(owner);
  if (held == held_.end()) return;
  for (Lock* lock : held->second) {
    if (lock->committing == sequence_max) continue;
    lock->committing = sequence_max;
    --committing_;
    mark(lock->hash, -1);
    lock->changed.notify_all();
  }
}

void LockTable::unlock_all(LockOwner owner) {
  recall(owner);
  const auto held = held_.find(owner);
  if (held == held_.end()) return;
  const std::vector<Lock*> locks = std::move(held->second);
  held_.erase(held);
  for (Lock* lock : locks) {
    lock->holder = no_owner;
    lock->changed.notify_all();
    drop_if_unused(*lock);
  }
}

bool LockTable::committing(std::uint64_t hash) const noexcept {
  if (committing_ == 0 || !may_hide(hash)) return false;
  return std::ranges::any_of(locks_, [&](const auto& entry) {
    return entry.second->hash == hash && entry.second->committing != sequence_max;
  });
}

LockTable::Lock* LockTable::hidden(Bytes key, Sequence at) const noexcept {
  Lock* lock = find(key);
  return lock != nullptr && lock->committing <= at && lock->committing != sequence_max ? lock : nullptr;
}

LockTable::Lock* LockTable::hidden_in(Bytes first, Bytes last, Sequence at) const noexcept {
  for (const auto& [text, lock] : locks_) {
    if (lock->committing > at || lock->committing == sequence_max) continue;
    const Bytes key = as_bytes(text);
    if (compare(key, first) >= 0 && (last.empty() || compare(key, last) < 0)) return lock.get();
  }
  return nullptr;
}

LockTable::Lock* LockTable::blocking(std::span<const Write> writes) const noexcept {
  if (empty()) return nullptr;
  const auto others = [&](const Lock& lock) { return lock.holder != no_owner && lock.holder != acting_; };
  for (const Write& write : writes) {
    const bool one_key = write.kind != Kind::clear && write.kind != Kind::erase_range;
    if (one_key) {
      Lock* lock = find(write.key->bytes());
      if (lock != nullptr && others(*lock)) return lock;
      continue;
    }
    for (const auto& [text, lock] : locks_) {
      if (others(*lock)) return lock.get();
    }
  }
  return nullptr;
}

bool LockTable::blocks(std::span<const Write> writes) const noexcept {
  return blocking(writes) != nullptr;
}

Task<Result<>> LockTable::visible(const StoredKey& key, Sequence at) {
  return wait_while([this, &key, at] { return hidden(key.bytes(), at); }, at);
}

Task<Result<>> LockTable::visible_in(Bytes first, Bytes last, Sequence at) {
  return wait_while([=, this] { return hidden_in(first, last, at); }, at);
}

/// Until there is no such lock, and no hold that concerns `at`.
Task<Result<>> LockTable::wait_while(std::function<Lock*()> hidden, Sequence at) {
  for (;;) {
    if (Lock* lock = hidden()) {
      ++lock->waiting;
      const Result<> waited = co_await wait(*lock);
      --lock->waiting;
      drop_if_unused(*lock);
      CO_TRY(waited);
    } else if (held_back(at)) {
      CO_TRY(co_await released_.wait());
    } else {
      co_return Result<>{};
    }
  }
}

Task<Result<>> LockTable::writable(std::span<const Write> writes, Instant deadline) {
  while (Lock* lock = blocking(writes)) {
    ++lock->waiting;
    const Result<> waited = co_await wait_for_holder(*lock, deadline);
    --lock->waiting;
    drop_if_unused(*lock);
    CO_TRY(waited);
  }
  co_return Result<>{};
}

}  // namespace ashlar::kv

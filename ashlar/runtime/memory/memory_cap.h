#pragma once

/// One limit on the memory of the process, accounted by purpose (D18).
///
///   MemoryCap cap(4_GiB);                                      // the process
///   MemoryBudget budget(cap);                                  // each shard
///   auto charge = budget.charge(Purpose::connections, bytes);  // no_memory where the cap is reached
///
/// A budget borrows from the cap in steps and accounts within what it has borrowed by plain arithmetic, so
/// that the cap's cache line changes hands once per step and not once per allocation.
///
/// How full it is decides who may have more:
///   up to 3/4   everyone; caches grow
///   up to 7/8   everyone but caches, which stay as they are
///   up to all   likewise, and the caches of every shard give back, a little in each turn, until 7/8 again
///   beyond      only what exists already or frees memory (take_regardless): writes that grow are refused

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/base/result.h"
#include "ashlar/base/units.h"

namespace ashlar {

/// What memory is used for.
enum class Purpose : std::uint8_t {
  memtables,    ///< writes that are not yet in tables
  cache,        ///< blocks that can be read again
  tables,       ///< indexes and filters of open tables
  connections,  ///< what clients have sent and not yet read, and what they pin
  io_buffers,   ///< pools of aligned buffers, log buffers
  frames,       ///< coroutine frames
  other,
};
constexpr std::size_t purpose_count = 7;
const char* to_string(Purpose purpose) noexcept;

/// The limit. Thread safety: any thread. Lifecycle: outlives its budgets.
class MemoryCap {
 public:
  explicit MemoryCap(std::uint64_t cap_bytes) noexcept : cap_bytes_(cap_bytes) {}
  MemoryCap(const MemoryCap&) = delete;
  MemoryCap& operator=(const MemoryCap&) = delete;

  /// For whoever was given no cap.
  static MemoryCap& unlimited() noexcept;

  std::uint64_t cap_bytes() const noexcept { return cap_bytes_; }
  /// With the budgets; may exceed the cap by what was charged regardless. And the most it ever was.
  std::uint64_t lent_bytes() const noexcept { return lent_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t lent_bytes_peak() const noexcept { return peak_bytes_.load(std::memory_order_relaxed); }
  /// Nothing is left; less than an eighth is; a quarter is.
  bool full() const noexcept { return lent_bytes() >= cap_bytes_; }
  bool tight() const noexcept { return lent_bytes() > cap_bytes_ - cap_bytes_ / 8; }
  bool roomy() const noexcept { return lent_bytes() <= cap_bytes_ - cap_bytes_ / 4; }

  /// Asks the caches of all shards to give back, and wakes those that sleep.
  void want() noexcept {
    if (wanted() || wanted_.exchange(true, std::memory_order_relaxed) || wake_shards_ == nullptr) return;
    wake_shards_(wake_argument_);
  }
  bool wanted() const noexcept { return wanted_.load(std::memory_order_relaxed); }
  void satisfied() noexcept { wanted_.store(false, std::memory_order_relaxed); }
  /// What wakes the shards; set before any of them runs, and called while they do.
  void set_waker(void (*wake_shards)(void*) noexcept, void* argument) noexcept {
    wake_shards_ = wake_shards;
    wake_argument_ = argument;
  }

  /// All of it, or false.
  bool borrow(std::uint64_t bytes) noexcept {
    std::uint64_t lent = lent_bytes_.load(std::memory_order_relaxed);
    do {
      if (lent > cap_bytes_ || bytes > cap_bytes_ - lent) return false;
    } while (!lent_bytes_.compare_exchange_weak(lent, lent + bytes, std::memory_order_relaxed));
    note_peak(lent + bytes);
    return true;
  }
  /// Beyond the cap, if need be.
  void borrow_regardless(std::uint64_t bytes) noexcept {
    note_peak(lent_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes);
  }
  void give_back(std::uint64_t bytes) noexcept { lent_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  void note_peak(std::uint64_t lent) noexcept {
    std::uint64_t peak = lent_bytes_peak();
    while (lent > peak && !peak_bytes_.compare_exchange_weak(peak, lent, std::memory_order_relaxed)) {
    }
  }

  const std::uint64_t cap_bytes_;
  void (*wake_shards_)(void*) noexcept = nullptr;
  void* wake_argument_ = nullptr;
  std::atomic<bool> wanted_{false};  // looked at in each turn of each shard, and rarely written
  alignas(64) std::atomic<std::uint64_t> lent_bytes_{0};
  std::atomic<std::uint64_t> peak_bytes_{0};
};

class MemoryBudget;

/// What keeps memory only for as long as nobody else wants it. Owner: a shard. Lifecycle: on the list of its
/// shard's budget until it is destroyed.
class MemoryReclaimer : public ListHook<> {
 public:
  /// Gives something back, now or as soon as its readers have left; bounded work, between two tasks. Whether
  /// there may be more.
  virtual bool reclaim() noexcept = 0;

 protected:
  MemoryReclaimer() = default;
  ~MemoryReclaimer() { unlink(); }
};

/// Bytes charged to a purpose; uncharged when destroyed. Move-only; on the budget's shard.
class [[nodiscard]] MemoryCharge {
 public:
  MemoryCharge() = default;
  MemoryCharge(MemoryCharge&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        purpose_(other.purpose_) {}
  MemoryCharge& operator=(MemoryCharge&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    std::swap(purpose_, other.purpose_);
    return *this;
  }
  ~MemoryCharge() { reset(); }

  std::uint64_t bytes() const noexcept { return bytes_; }
  /// Charges the difference; no_memory leaves it as it was. Not on an empty charge.
  Result<> resize(std::uint64_t bytes) noexcept;
  void resize_regardless(std::uint64_t bytes) noexcept;
  void reset() noexcept;

 private:
  friend class MemoryBudget;
  MemoryCharge(MemoryBudget& budget, Purpose purpose, std::uint64_t bytes) noexcept
      : budget_(&budget), bytes_(bytes), purpose_(purpose) {}

  MemoryBudget* budget_ = nullptr;
  std::uint64_t bytes_ = 0;
  Purpose purpose_ = Purpose::other;
};

/// One shard's part of the cap. Owner: one shard; only used_bytes() may be asked from other threads.
/// Lifecycle: when it is destroyed, everything has been uncharged. Invariant: used <= borrowed < used + 2
/// steps.
class MemoryBudget {
 public:
  static constexpr std::uint64_t step_bytes = std::uint64_t{1} << 20;

  explicit MemoryBudget(MemoryCap& cap) noexcept : cap_(cap) {}
  ~MemoryBudget();
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  MemoryCap& cap() const noexcept { return cap_; }

  /// Charges, or fails with no_memory where the cap is reached.
  Result<MemoryCharge> charge(Purpose purpose, std::uint64_t bytes) noexcept {
    if (!take(purpose, bytes)) return fail(Errc::no_memory, "memory cap");
    return MemoryCharge(*this, purpose, bytes);
  }
  /// Charges what exists already: beyond the cap, if need be.
  MemoryCharge charge_regardless(Purpose purpose, std::uint64_t bytes) noexcept {
    take_regardless(purpose, bytes);
    return MemoryCharge(*this, purpose, bytes);
  }
  /// The same as plain arithmetic, for owners that keep count themselves.
  bool take(Purpose purpose, std::uint64_t bytes) noexcept {
    if (bytes > borrowed_bytes_ - used_bytes_ && !borrow_for(bytes)) return false;
    account(purpose, bytes);
    return true;
  }
  /// For what exists already and cannot be refused: counts beyond the cap, so that others are refused
  /// instead.
  void take_regardless(Purpose purpose, std::uint64_t bytes) noexcept {
    if (take(purpose, bytes)) return;
    cap_.borrow_regardless(bytes);
    borrowed_bytes_ += bytes;
    account(purpose, bytes);
  }
  void give(Purpose purpose, std::uint64_t bytes) noexcept {
    account(purpose, 0 - bytes);
    if (borrowed_bytes_ - used_bytes_ >= 2 * step_bytes) give_surplus_back();
  }

  /// Bytes charged already serve another purpose now.
  void reassign(Purpose from, Purpose to, std::uint64_t bytes) noexcept {
    account(from, 0 - bytes);
    account(to, bytes);
  }

  /// From now on asked, where memory is wanted.
  void add(MemoryReclaimer& reclaimer) noexcept { reclaimers_.push_back(reclaimer); }
  bool wanted() const noexcept { return cap_.wanted(); }
  /// One step of each reclaimer, where memory is still wanted; the shard calls it once a turn. Whether the
  /// next step may give more.
  bool reclaim() noexcept;

  /// Any thread.
  std::uint64_t used_bytes(Purpose purpose) const noexcept {
    return by_purpose_[static_cast<std::size_t>(purpose)].load(std::memory_order_relaxed);
  }
  std::uint64_t used_bytes() const noexcept { return used_bytes_; }
  std::uint64_t borrowed_bytes() const noexcept { return borrowed_bytes_; }

 private:
  void account(Purpose purpose, std::uint64_t bytes) noexcept {
    used_bytes_ += bytes;
    auto& counter = by_purpose_[static_cast<std::size_t>(purpose)];
    counter.store(counter.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);  // one writer
  }
  bool borrow_for(std::uint64_t bytes) noexcept;
  void give_surplus_back() noexcept;

  MemoryCap& cap_;
  IntrusiveList<MemoryReclaimer> reclaimers_;
  std::uint64_t borrowed_bytes_ = 0;
  std::uint64_t used_bytes_ = 0;
  std::array<std::atomic<std::uint64_t>, purpose_count> by_purpose_{};
};

}  // namespace ashlar

#pragma once

/// Epochs: one writer publishes, any thread reads, and what was replaced is freed once no reader can see it
/// (D2).
///
///   // Owner shard                                   // any thread, shard or not
///   Table* old = current.exchange(table, release);   epoch::Guard guard;
///   domain.retire(old);                              const Table* table = current.load(acquire);
///                                                    … valid until the guard goes
///
/// How it works:
///  1. Each reading thread has a slot of its own with a sequence number: odd while it is inside a guard.
///  Entering and
///     leaving are one plain store each into a cache line that nobody else writes.
///  2. The owner unpublishes an object, then retires it.
///  3. A grace period begins with a membarrier: every thread passes a full memory barrier. A reader whose odd
///  number
///     the owner does not see after it enters later than the barrier, and so finds what is published now.
///  4. The owner notes the slots that are odd. The grace period is over when each of those has changed: that
///  reader
///     has left, whether or not it has come back.
///  5. What was retired before step 3 is freed.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace ashlar {

class EpochDomain;

namespace epoch {

/// What one thread shows to the owners of domains. Never freed, but handed from thread to thread.
struct alignas(64) ReaderSlot {
  std::atomic<std::uint64_t> sequence{0};  ///< odd inside a guard; written by its thread only
  std::uint32_t depth = 0;                 ///< of nested guards; its thread's
  ReaderSlot* next = nullptr;              ///< all slots there are; set once
  ReaderSlot* next_free = nullptr;
};

namespace detail {

inline constinit thread_local ReaderSlot* reader_slot = nullptr;

/// Whether owners bring the fence (membarrier), so that readers need none. Decided once, when the program
/// starts.
extern const bool owner_fences;

/// Gives this thread a slot, and takes it back when the thread ends.
ReaderSlot& register_reader() noexcept;

}  // namespace detail

/// Keeps what this thread reads from being freed. Any thread; nests; must be destroyed on its thread. Not to
/// be held across a suspension: it holds back the memory of every domain.
class [[nodiscard]] Guard {
 public:
  Guard() noexcept
      : slot_(detail::reader_slot != nullptr ? *detail::reader_slot : detail::register_reader()) {
    if (slot_.depth++ != 0) return;
    slot_.sequence.store(slot_.sequence.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    // The loads that follow must not pass this store. Where the owner issues a membarrier, only the compiler
    // has to be told.
    if (detail::owner_fences) [[likely]] {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() {
    if (--slot_.depth != 0) return;
    slot_.sequence.store(slot_.sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  /// Whether this thread is inside a guard.
  static bool held() noexcept { return detail::reader_slot != nullptr && detail::reader_slot->depth != 0; }

 private:
  ReaderSlot& slot_;
};

}  // namespace epoch

/// Objects that were unpublished and wait for their readers to leave. Owner: one shard; no call of it is made
/// from elsewhere. Lifecycle: destroyed outside any guard; waits for the readers that are left, then frees
/// everything.
class EpochDomain {
 public:
  EpochDomain() = default;
  EpochDomain(const EpochDomain&) = delete;
  EpochDomain& operator=(const EpochDomain&) = delete;
  ~EpochDomain() { drain(); }

  /// Calls `destroy(object)` on the owner once no reader can see the object, which is unpublished already.
  /// Now and then this reclaims; otherwise it is a push into an array.
  void retire(void* object, void (*destroy)(void*) noexcept) {
    retired_.push_back({object, destroy});
    if (retired_.size() >= reclaim_batch) reclaim();
  }
  /// The same for an object from `new`.
  template <class T>
  void retire(T* object) {
    using Plain = std::remove_const_t<T>;
    retire(const_cast<Plain*>(object), [](void* retired) noexcept { delete static_cast<Plain*>(retired); });
  }
  template <class T>
  void retire(std::unique_ptr<T> object) {
    retire(object.release());
  }

  /// Frees what no reader can see any more and begins the next grace period; returns how many objects were
  /// freed. Never blocks. Costs a membarrier (about a microsecond for each running thread) where anything is
  /// waiting.
  std::size_t reclaim();
  /// Waits for every reader that is inside a guard now, and frees everything. Not from inside a guard.
  void drain();
  /// Objects retired and not yet freed.
  std::size_t pending() const noexcept { return retired_.size() + leaving_.size(); }

 private:
  static constexpr std::size_t reclaim_batch = 64;

  struct Retired {
    void* object;
    void (*destroy)(void*) noexcept;
  };
  struct Blocker {
    const epoch::ReaderSlot* slot;
    std::uint64_t sequence;
  };

  void begin_grace_period();
  bool grace_period_over() noexcept;
  std::size_t free_leaving() noexcept;

  std::vector<Retired> retired_;   // since the last grace period began
  std::vector<Retired> leaving_;   // before it began
  std::vector<Retired> freeing_;   // being destroyed; a destructor may retire in turn
  std::vector<Blocker> blockers_;  // readers the grace period waits for
};

}  // namespace ashlar

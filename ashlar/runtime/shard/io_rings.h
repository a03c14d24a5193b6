#pragma once

/// Which ring a shard's reads and writes take: the one of its loop, or one for each thing that they are for.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/runtime/ops/backend.h"
#include "ashlar/runtime/task/waiter.h"

namespace ashlar {

enum class RingSharing : std::uint8_t {
  shared,  ///< one ring for everything: fewest system calls, and the shard sleeps on it
  split,   ///< foreground, log, flush and compaction each have one beside the loop's
};

/// What kernel and shard poll for, of rings that are split.
enum class RingPolling : std::uint8_t {
  none,
  sqpoll,  ///< a kernel thread for each ring takes submissions: for machines with cores to spare
  iopoll,  ///< foreground reads and log writes are polled for, not interrupt driven, where the disk polls
  both,
};

/// How urgent the disk scheduler takes what is read and written in the background.
enum class BackgroundPriority : std::uint8_t {
  normal,  ///< as everything else
  low,     ///< the last of the best-effort class
  idle,    ///< only while the disk has nothing else to do
};

struct IoRingsOptions {
  RingSharing sharing = RingSharing::shared;
  RingPolling polling = RingPolling::none;
  unsigned queue_depth = 128;    ///< of each ring
  unsigned sqpoll_idle_ms = 50;  ///< a poller sleeps after this long without work
  bool single_issuer = true;     ///< SINGLE_ISSUER, without which the kernel locks each ring
  BackgroundPriority background_priority = BackgroundPriority::normal;
  bool background_async = false;  ///< kernel workers start it (IOSQE_ASYNC), whether rings are split or not
};

constexpr IoRole role_of(Share share) noexcept {
  switch (share) {
    case Share::foreground: break;
    case Share::flush: return IoRole::flush;
    case Share::background: return IoRole::compaction;
  }
  return IoRole::foreground;
}
const char* to_string(IoRole role) noexcept;

/// Owner: a shard; lifecycle: within that of its back end. Operations that are no reads or writes, sockets,
/// timers and cancels stay on the loop's ring, where alone the shard sleeps; so do reads and writes that a
/// ring of theirs cannot carry, and all of them where rings cannot be had (a note says why).
///
/// IOPOLL rings carry reads, and those writes of the log that one polled command makes durable: overwrites of
/// what was written before, on a disk with FUA or without a volatile cache.
class IoRings {
 public:
  IoRings(Backend& backend, const IoRingsOptions& options);
  ~IoRings();
  IoRings(const IoRings&) = delete;
  IoRings& operator=(const IoRings&) = delete;

  void submit(Operation& operation, Share share) noexcept {
    if (share == Share::background && marks_) [[unlikely]]
      mark(operation);
    if (!split_) [[likely]]
      return backend_.submit(operation);
    const IoRole role = operation.role != IoRole::automatic ? operation.role : role_of(share);
    rings_[static_cast<unsigned>(role)]->submit(operation);
  }
  void hand_over(Share share) noexcept {
    if (!split_) [[likely]]
      return backend_.hand_over();
    rings_[static_cast<unsigned>(role_of(share))]->hand_over();
  }
  /// A file was opened that reads and writes will go to.
  void opened(Handle file) {
    if (attaches_) [[unlikely]]
      attach(file);
  }

  bool split() const noexcept { return split_; }
  /// Of one role's ring; of `automatic`, the loop's own. Null where there is no such ring.
  const RingStats* stats(IoRole role) const noexcept;
  /// One line for each ring, "log: IOPOLL, SINGLE_ISSUER, 128 entries"; and for what was asked for and is not
  /// so, with the reason.
  std::vector<std::string> describe() const;

 private:
  void attach(Handle file);
  void mark(Operation& operation) const noexcept;

  Backend& backend_;
  bool marks_ = false;  // what is done in the background
  bool background_async_ = false;
  std::uint16_t background_priority_ = 0;
  bool split_ = false;
  bool attaches_ = false;
  std::array<std::unique_ptr<IoRing>, io_role_count> rings_;  // by role; none for `automatic`
  std::vector<std::string> notes_;
};

}  // namespace ashlar

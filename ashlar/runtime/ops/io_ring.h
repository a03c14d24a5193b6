#pragma once

/// Further io_urings of a shard, beside the one of its loop: for the reads and writes of devices, with the
/// options that are not for every ring (polling by a kernel thread, polling of the device).

#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/base/bytes.h"
#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/operation.h"
#include "ashlar/runtime/ops/ring_stats.h"

namespace ashlar {

/// When the kernel posts completions.
enum class TaskRun : std::uint8_t {
  automatic,     ///< deferred where the kernel has it, else cooperative; neither with SQPOLL
  interrupting,  ///< at once, by interrupting the shard
  cooperative,   ///< COOP_TASKRUN: at the shard's next system call
  deferred,      ///< DEFER_TASKRUN: when the shard asks; needs SINGLE_ISSUER
};

struct RingOptions {
  unsigned queue_depth = 128;      ///< submission entries: rounded up to a power of two, clamped to 32768
  bool sqpoll = false;             ///< SQPOLL: a kernel thread takes submissions, without a system call
  unsigned sqpoll_idle_ms = 1000;  ///< it sleeps after this long without one
  int sqpoll_cpu = -1;             ///< SQ_AFF: the CPU it is bound to; -1: none
  bool iopoll = false;             ///< IOPOLL: completions are polled from the device, without interrupts
  bool single_issuer = true;       ///< SINGLE_ISSUER: only this shard submits, hence no lock
  TaskRun task_run = TaskRun::automatic;
  bool registered_ring = true;   ///< no look-up of the ring's descriptor per system call
  bool fixed_files = true;       ///< attached files need no look-up per operation
  unsigned regions_max = 4096;   ///< fixed buffers: regions with ids below this can be registered
  bool always_async = false;     ///< IOSQE_ASYNC: a kernel worker starts each operation
  unsigned workers_max = 0;      ///< IOWQ_MAX_WORKERS, for operations that block; 0: the kernel's limit
  int workers_cpu = -1;          ///< IOWQ_AFF: the CPU they are bound to; -1: as the shard is
  bool log_writes_only = false;  ///< with iopoll: of writes, only those of role log are polled for
  unsigned gather = 16;          ///< see GatherBound
};

/// A further ring. Owner: the shard that opened it. Its loop polls the ring with the main one, and completes
/// on its thread as usual; it sleeps on the main ring alone, from which completions here wake it, and does
/// not sleep while operations of an IOPOLL ring are in flight. Lifecycle: destroyed on the shard, before the
/// back end, with nothing in flight.
class IoRing {
 public:
  virtual ~IoRing() = default;

  /// Starts an operation, as Backend::submit() does. What is no read or write goes to the main ring, and so
  /// does, on an IOPOLL ring, what cannot be polled: files that are not attached, not opened with O_DIRECT,
  /// or on a device that does not poll, and durable writes that take a flush (a volatile cache, no FUA).
  virtual void submit(Operation& operation) noexcept = 0;
  /// As Backend::hand_over().
  virtual void hand_over() noexcept {}
  /// Prepares for a file that will be used much: a fixed slot, and whether it polls. Until it is closed.
  /// Not needed for correctness. A set-up call.
  virtual void attach(Handle file) = 0;
  /// As Backend::register_region(), for this ring. A refusal is noted once.
  virtual Result<> register_region(std::uint32_t id, MutableBytes memory) = 0;

  virtual unsigned in_flight() const noexcept = 0;
  /// Null where it is none.
  virtual const RingStats* stats() const noexcept { return nullptr; }
  /// What it was created with: "SQPOLL, SINGLE_ISSUER, 128 entries, fixed files".
  virtual std::string setup() const = 0;
  /// One line for each option that was asked for and is not in effect: which, why, and what happens instead.
  virtual const std::vector<std::string>& notes() const noexcept = 0;
};

}  // namespace ashlar

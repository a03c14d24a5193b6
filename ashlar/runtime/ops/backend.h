#pragma once

/// The interface of the three back ends: UringBackend, EpollBackend, SimBackend. One object per shard.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/base/bytes.h"
#include "ashlar/base/result.h"
#include "ashlar/runtime/ops/address.h"
#include "ashlar/runtime/ops/clock.h"
#include "ashlar/runtime/ops/file_traits.h"
#include "ashlar/runtime/ops/io_ring.h"
#include "ashlar/runtime/ops/mapped_range.h"
#include "ashlar/runtime/ops/operation.h"
#include "ashlar/runtime/ops/ring_stats.h"

namespace ashlar {

struct DirectoryEntry {
  std::string name;
  bool directory = false;
  std::uint64_t bytes = 0;  ///< size of a regular file
};

struct FileSystemSpace {
  std::uint64_t free_bytes = 0;  ///< available to this process
  std::uint64_t total_bytes = 0;
};

struct ListenOptions {
  int backlog = 1024;
  bool reuse_port = false;  ///< one listener per shard on the same port
};

/// Executes operations for one shard. All calls on the owner shard's thread, except wake(). Lifecycle:
/// created on that thread; destroyed when no operation is in flight and every ReceiveBuffer was recycled.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* name() const noexcept = 0;

  /// Starts an operation. Never blocks, never completes it before it returns.
  virtual void submit(Operation& operation) noexcept = 0;
  /// Asks an operation to end early (accept, receive, connect, send). It still completes, exactly once, with
  /// its result or ECANCELED. Ignored for file operations, whose buffer the kernel owns until they end.
  virtual void cancel(Operation& operation) noexcept = 0;

  /// Hands submitted operations to the kernel and completes those that have finished; returns how many. Never
  /// blocks.
  virtual unsigned poll() noexcept = 0;
  /// Whether poll() has anything to do; a few loads, no system call.
  virtual bool pending() const noexcept = 0;
  /// Whether what was submitted here goes to the kernel with the next poll() or wait() only.
  virtual bool unsubmitted() const noexcept { return false; }
  /// Hands it over now.
  virtual void hand_over() noexcept {}
  /// Blocks until something completes, wake() is called or `until` has come; then completes as poll() does.
  virtual unsigned wait(Instant until) noexcept = 0;
  /// Ends a wait(), or the next one, from any thread (D19: the caller has published and fenced before).
  virtual void wake() noexcept = 0;

  /// For a thread that waits elsewhere, in a foreign event loop: readable when poll() may find something, or
  /// wake() was called, since rest(). The back end's own; the same one each time. `unsupported` where there
  /// is nothing to wait for.
  virtual Result<int> descriptor() { return fail(Errc::unsupported, "a descriptor to wait for"); }
  /// Before such a wait, and before the last look at pending(): hands everything to the kernel and forgets
  /// what the descriptor has told. False where something must be polled for, so that there is no waiting.
  virtual bool rest() noexcept { return true; }

  /// Returns the buffer of a receive_multishot to the pool.
  virtual void recycle(ReceiveBuffer& buffer) noexcept = 0;
  /// Memory of that pool, whether it is in use or not.
  virtual std::uint64_t receive_buffer_bytes_total() const noexcept { return 0; }

  virtual Instant now() const noexcept = 0;
  /// Milliseconds since 1970, as TTLs store it. May step.
  virtual std::uint64_t wall_ms() const noexcept = 0;
  /// 64 random bits; from the seed in simulation.
  virtual std::uint64_t random() noexcept = 0;
  /// Operations submitted and not completed.
  virtual unsigned in_flight() const noexcept = 0;

  // Set-up calls: rare, synchronous, may block for a short system call.
  virtual Result<Handle> listen(const Address& address, const ListenOptions& options) = 0;
  virtual Result<Handle> socket(const Address& peer) = 0;  ///< unconnected stream socket of the peer's family
  /// A datagram socket, bound: UDP or Unix. Port 0: a free one.
  virtual Result<Handle> datagram_socket(const Address& local) = 0;
  virtual Result<Address> local_address(Handle socket) = 0;
  virtual Result<Address> peer_address(Handle socket) = 0;
  virtual Result<std::vector<DirectoryEntry>> list(
      const std::string& directory) = 0;  ///< sorted by name, no dots
  virtual Result<> make_directory(
      const std::string& path) = 0;  ///< not durable until sync_directory of the parent
  virtual Result<std::uint64_t> file_bytes(Handle file) = 0;
  virtual Result<FileSystemSpace> space(const std::string& path) = 0;
  /// What stands behind a handle, from statx, ioctls and sysfs: tens of short system calls.
  virtual Result<FileTraits> describe(Handle file) = 0;
  /// A further ring of this shard, for reads and writes of devices. `invalid` for a pair of options that no
  /// kernel takes, named; `unsupported` where the back end has no rings. An option that this kernel lacks is
  /// left out, with a note.
  virtual Result<std::unique_ptr<IoRing>> open_ring(const RingOptions& options) = 0;
  /// Of the reads and writes on the back end's own ring; null where it has none.
  virtual const RingStats* ring_stats() const noexcept { return nullptr; }
  /// Makes a region known to the kernel, so that operations whose `region` is `id` skip pinning its pages.
  /// Repeated for the same id it does nothing. `unsupported` where the back end gains nothing by it,
  /// `no_memory` at too low a memlock, `too_large` for an id beyond the table; operations then work as they
  /// do for any memory. It stays known, and resident, for as long as the back end lives:
  /// Regions::keep_pages() comes first.
  virtual Result<> register_region(std::uint32_t id, MutableBytes memory) = 0;
  /// Maps a range of a file (ops/mapping.h is what tasks use). `offset` is a multiple of the page.
  virtual Result<MappedRange> map(Handle file, std::uint64_t offset, std::uint64_t bytes,
                                  const MapOptions& options) = 0;
  /// Exclusive advisory lock on a file, created where missing: held until the handle is closed; `busy` if
  /// another process (or another shard) holds it.
  virtual Result<Handle> lock(const std::string& path) = 0;
};

}  // namespace ashlar

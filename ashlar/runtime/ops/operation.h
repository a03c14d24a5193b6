#pragma once

/// The seam to the outside world (D6): one Operation is one request to kernel, network or simulator. Three
/// back ends execute it (io_uring, epoll + threads, simulated); everything above is the same code on all of
/// them.

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace ashlar {

/// An open file or socket of one back end. Opened, used and closed on the same shard.
struct Handle {
  std::int32_t value = -1;
  explicit operator bool() const noexcept { return value >= 0; }
  bool operator==(const Handle&) const = default;
};

enum class OpCode : std::uint8_t {
  nop,
  // Files. Paths are absolute or relative to the working directory.
  open,            ///< path, open_flags (O_*), mode → handle
  close,           ///< handle
  read,            ///< handle, buffers, offset → bytes; fewer than asked only at the end of the file
  write,           ///< handle, buffers, offset, durable → all bytes, or an error
  allocate,        ///< handle, offset, length: reserves space and extends the size (fallocate mode 0)
  sync,            ///< handle: data and metadata durable (fsync)
  data_sync,       ///< handle: data and what is needed to read it durable (fdatasync)
  resize,          ///< handle, length (ftruncate)
  rename,          ///< path → path2, replacing it
  link,            ///< path → path2, which must not exist
  unlink,          ///< path
  sync_directory,  ///< path: its entries durable (open, fsync, close)
  // Ranges of files and block devices, in bytes: on a device, multiples of its logical block.
  discard,       ///< handle, offset, length: the contents are not needed any more (see File::discard)
  write_zeroes,  ///< handle, offset, length: reads as zeros, without a transfer; EOPNOTSUPP where it cannot
  advise,        ///< handle, offset, length, mode (POSIX_FADV_*): a hint; never changes contents
  // Memory that maps a file (ops/mapping.h): data, length, whole pages.
  populate,  ///< mode (0 for reading, 1 for writing): the pages are in memory; EIO where one cannot be read
  sync_memory,  ///< what was stored is durable (msync)
  unmap,        ///< ends the mapping
  // Sockets.
  accept,             ///< handle of a listener; multishot → handle, once per connection
  connect,            ///< handle of a new socket, address, address_bytes
  receive,            ///< handle, buffers → at least 1 byte, 0 at the end; all bytes with receive_all
  receive_multishot,  ///< handle → a filled ReceiveBuffer per completion, 0 at the end
  send,               ///< handle, buffers, zero_copy → all bytes, or an error
  send_file,          ///< handle, source, offset, length → bytes of a file that went out without passing
              ///< through this process: fewer only at its end; EOPNOTSUPP, and nothing sent, where the
              ///< back end or the file has no such way
  // Datagram sockets: path2 is the other's sockaddr, of address_bytes.
  send_to,       ///< handle, data, path2 → one datagram, whole, or an error
  receive_from,  ///< handle, data; path2: a sockaddr_storage, filled → size of one datagram, which may be
                 ///< more than `length`: the rest of it is lost
  shutdown,      ///< handle: both directions
};

struct ReceiveBuffer;

/// What a read or write is for: where a shard has rings for that, which of them carries it.
enum class IoRole : std::uint8_t {
  automatic,   ///< by the share of the task that submits it
  foreground,  ///< somebody waits for it
  log,         ///< write-ahead log: its writes overwrite what was written before, in files of their full size
  flush,
  compaction,  ///< and whatever else is done in the background
};
constexpr unsigned io_role_count = 5;

/// How urgent a read or write is to the disk scheduler, as ioprio_set(2) encodes it; 0: as the thread is.
/// A hint: a class that the process may not use is ignored.
constexpr std::uint16_t io_priority_best_effort(unsigned level) noexcept {
  return static_cast<std::uint16_t>(2u << 13 | (level & 7));  // 0 is the most urgent of 8
}
constexpr std::uint16_t io_priority_idle = 3u << 13;

/// Operation::region of memory that belongs to none.
constexpr std::uint32_t no_region = ~std::uint32_t{0};

/// One request in flight. It lives in the awaiter, hence in the caller's frame: it never moves, and is not
/// destroyed before it completes. Short transfers, EINTR, EAGAIN and a full submission queue are handled by
/// the back end.
struct Operation {
  enum class State : std::uint8_t { idle, in_flight };

  OpCode code = OpCode::nop;
  State state =
      State::idle;  ///< kept by the back end: in_flight from submit() until just before the last complete()
  bool durable : 1 = false;  ///< write: acknowledged only once it survives power loss (RWF_DSYNC)
  bool atomic : 1 = false;   ///< write: power loss leaves all of it or nothing (RWF_ATOMIC); direct I/O
  bool async : 1 = false;    ///< read, write: a kernel worker starts it (IOSQE_ASYNC), not the shard
  /// send of one buffer: the kernel takes the pages themselves where it can (SEND_ZC), and the memory stays
  /// its own until the operation completes: once the peer has the bytes. From `region`, where that is
  /// registered.
  bool zero_copy : 1 = false;
  bool receive_all : 1 = false;  ///< receive: fill the buffers entirely, fewer only at the end
  bool chained : 1 = false;      ///< kept by the back end: a step of a chain
  IoRole role : 3 = IoRole::automatic;
  bool more = false;  ///< set by the back end on each completion of a multishot that goes on
  bool cancel_requested = false;
  std::uint16_t priority = 0;  ///< read, write: io_priority_…()
  Handle handle;
  std::uint32_t region =
      no_region;            ///< read, write, send: where all the memory lies in one region, its number
  std::int64_t result = 0;  ///< bytes, handle or 0; -errno on failure

  /// The memory to transfer: one buffer, or `vectors` (advanced in place as parts complete).
  std::byte* data = nullptr;
  std::uint64_t length = 0;  ///< bytes at `data`, or the length of a range of the file
  std::uint64_t offset = 0;  ///< byte offset in the file
  iovec* vectors = nullptr;
  std::uint32_t vector_count = 0;
  std::uint32_t mode = 0;  ///< open: permission bits. advise, populate: which

  const char* path = nullptr;   ///< zero-terminated; must live as long as the operation
  const char* path2 = nullptr;  ///< rename, link: the target. connect: the sockaddr
  union {
    std::int32_t open_flags = 0;
    Handle source;  ///< send_file: the file
  };
  std::uint32_t address_bytes = 0;

  union {
    ReceiveBuffer* buffer = nullptr;  ///< receive_multishot: what arrived; the consumer recycles it
    /// write of one buffer: another that begins once this one has ended well, and so on: a chain. Only its
    /// first operation is submitted and completes, for all: with the bytes of all, or with the error that
    /// ended the chain, after which nothing more of it begins. The others' results say which one that was:
    /// -ECANCELED where they did not begin.
    Operation* then;
  };

  /// Called from Backend::poll() or wait() on the owner shard, never inside submit(). Makes the waiter ready;
  /// must not resume it directly. For a multishot, once per completion until `more` is false.
  void (*complete)(Operation&) noexcept = nullptr;

  // For the back end while the operation is in flight.
  Operation* next = nullptr;
  std::uint64_t transferred = 0;
  std::uint64_t backend_data = 0;
};

static_assert(sizeof(Operation) == 128, "it lives in every awaiter: two cache lines");

/// A buffer of the back end's pool, filled by a multishot receive. Returned with Backend::recycle().
struct ReceiveBuffer {
  static constexpr std::uint16_t not_pooled = 0xffff;  ///< the id of one that a stream allocated

  std::byte* data = nullptr;
  std::uint32_t size = 0;
  std::uint16_t id = 0;
  ReceiveBuffer* next = nullptr;  ///< for whoever holds it
};

}  // namespace ashlar

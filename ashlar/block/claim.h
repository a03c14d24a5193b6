#pragma once

/// Having a file or block device to oneself: against the kernel's other users (O_EXCL), against other
/// processes (flock), and against what a process that is gone has left in flight.

#include <fcntl.h>

#include <string>

#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar {

/// Opens a block device with O_EXCL: `busy` where it is claimed. The kernel takes a while to close what an
/// io_uring held, so that a device which was closed just now is asked for again, for up to a second.
inline Task<Result<File>> open_claimed(std::string path, int flags) {
  constexpr int attempts = 50;
  for (int attempt = 1;; ++attempt) {
    auto file = co_await File::open(path, flags | O_EXCL);
    if (file || file.error().code != Errc::busy || attempt == attempts) co_return file;
    co_await sleep_for(std::chrono::milliseconds(20));
  }
}

/// Waits for whatever a process that is gone may still have in flight in the first `bytes` of a regular file:
/// its writes outlive it and its locks. The kernel lets an allocation of what is there already, which changes
/// nothing, wait for them.
inline Task<Result<>> settle_writes(const File& file, std::uint64_t bytes) {
  const Result<> waited = co_await file.allocate(0, bytes);
  const bool harmless =
      waited || waited.error().code == Errc::unsupported || waited.error().code == Errc::no_space;
  co_return harmless ? Result<>() : waited;
}

/// For Device::claim() of what stands on a file: the lock of `path`, held until it is closed.
/// `settled_bytes`: of `file`, as above; 0 where it is no regular file, or is not written.
inline Task<Result<File>> lock_for_device(std::string path, const File& file, std::uint64_t settled_bytes) {
  File lock(CO_TRY(Shard::current().backend().lock(path)), 0);
  if (settled_bytes != 0) CO_TRY(co_await settle_writes(file, settled_bytes));
  co_return lock;
}

}  // namespace ashlar

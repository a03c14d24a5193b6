#pragma once

/// Opening a block device so that nobody mounts it, or makes it part of something else, meanwhile.

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

}  // namespace ashlar

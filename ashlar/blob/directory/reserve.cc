#include "ashlar/blob/directory/reserve.h"

#include <algorithm>
#include <utility>

#include "ashlar/base/log.h"
#include "ashlar/base/units.h"

namespace ashlar::blob {
namespace {

constexpr Duration look_period = std::chrono::seconds(1);

}  // namespace

Task<Result<>> Reserve::start(std::string directory, File file, std::uint64_t bytes) {
  directory_ = std::move(directory);
  file_ = std::move(file);
  bytes_ = bytes;
  const Result<> allocated = co_await allocate();
  if (!allocated && allocated.error().code == Errc::unsupported) {
    log::warn("{}: the file system cannot keep a reserve", directory_);
    bytes_ = 0;
    held_ = true;
  } else if (!allocated && allocated.error().code == Errc::no_space) {
    log::warn("{}: no space for a reserve of {}", directory_, approximate_bytes(bytes_));
    full_ = true;
  } else {
    CO_TRY(allocated);
  }
  scope_.spawn(look_after(), Share::flush);
  co_return Result<>();
}

Task<Result<>> Reserve::stop() {
  stopping_ = true;
  nudge_.nudge();
  co_await scope_.join();
  if (!file_) co_return Result<>();
  co_return co_await file_.close();
}

Task<> Reserve::give_up(std::uint64_t bytes) {
  const MutexLock lock = co_await mutex_.lock();
  note_full(bytes);
  if (!std::exchange(held_, false) || bytes_ == 0) co_return;
  const Result<> cut = co_await file_.resize(0);
  if (!cut) log::warn("{}: the reserve could not be freed: {}", directory_, cut.error());
}

void Reserve::note_full(std::uint64_t bytes) noexcept {
  if (!full_) log::warn("{}: the disk is full", directory_);
  full_ = true;
  wanted_bytes_ = std::max(wanted_bytes_, bytes);
  nudge_.nudge();
}

Task<> Reserve::look_after() {
  while (!stopping_) {
    if (full_) {
      co_await nudge_.wait_at_most(look_period);
      co_await restore();
    } else {
      co_await nudge_.wait();
    }
  }
}

Task<> Reserve::restore() {
  const MutexLock lock = co_await mutex_.lock();
  if (stopping_ || !full_) co_return;
  const Result<FileSystemSpace> space = Shard::current().backend().space(directory_);
  const std::uint64_t needed = wanted_bytes_ + (held_ ? 0 : bytes_);
  if (!space || space->free_bytes < needed || !co_await allocate()) co_return;
  full_ = false;
  wanted_bytes_ = 0;
  log::info("{}: there is space again", directory_);
}

// All of it or nothing.
Task<Result<>> Reserve::allocate() {
  if (held_) co_return Result<>();
  if (bytes_ != 0) {
    const Result<> allocated = co_await file_.allocate(0, bytes_);
    if (!allocated) {
      CO_TRY(co_await file_.resize(0));
      co_return allocated;
    }
  }
  CO_TRY(co_await file_.resize(bytes_));  // it may have been made with another size
  held_ = true;
  co_return Result<>();
}

}  // namespace ashlar::blob

#pragma once

/// A flush that failed may have lost writes of every shard (D5), but a kernel or device tells only whoever
/// flushed. Here every channel learns of it: by its next flush, which fails too.

#include <atomic>
#include <cstdint>

#include "ashlar/base/result.h"

namespace ashlar {

/// Of one device. Any thread.
class FlushFailures {
 public:
  std::uint64_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  void add() noexcept { count_.fetch_add(1, std::memory_order_acq_rel); }

 private:
  std::atomic<std::uint64_t> count_{0};
};

/// What one channel knows of them. Owner: the channel.
///
///   const std::uint64_t known = watch.known();   // when the flush is submitted
///   …
///   return watch.ended(known, result);           // when it has ended
class FlushWatch {
 public:
  explicit FlushWatch(FlushFailures& failures) noexcept : failures_(failures), known_(failures.count()) {}

  std::uint64_t known() const noexcept { return known_; }
  /// A durable write failed, which flushes on its way: the kernel has told it of writes that were lost before
  /// it, and will not tell the next flush. That one fails, of every channel.
  void durable_write_failed() noexcept { failures_.add(); }
  /// The result of a flush that was submitted when `known` failures were known: ok only if none has come
  /// since, wherever. Of flushes that were under way together, one failure thus fails all.
  Result<> ended(std::uint64_t known, const Result<>& result) noexcept {
    if (!result) failures_.add();
    const std::uint64_t now = failures_.count();
    if (now == known) return {};
    known_ = now;
    if (!result) return result;
    return fail(Errc::io, "flush: another one failed, and what it covered may be lost");
  }

 private:
  FlushFailures& failures_;
  std::uint64_t known_;
};

}  // namespace ashlar

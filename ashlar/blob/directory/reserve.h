#pragma once

/// Space kept for when the disk is full. Rules: docs/formats/blob-directory.md, "A full disk".

#include <cstdint>
#include <string>

#include "ashlar/base/result.h"
#include "ashlar/blob/nudge.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/mutex.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::blob {

/// Owner: one store. Invariant: not full() only while the reserve is held.
class Reserve {
 public:
  Reserve() noexcept : scope_(nullptr) {}

  /// Takes over the reserve's file, allocates it, and starts to look after it.
  Task<Result<>> start(std::string directory, File file, std::uint64_t bytes);
  Task<Result<>> stop();

  bool full() const noexcept { return full_; }
  /// There was no space for `bytes`: gives up the reserve, so that they may be written now.
  Task<> give_up(std::uint64_t bytes);
  /// There was no space for `bytes`, which are not entitled to the reserve.
  void note_full(std::uint64_t bytes) noexcept;
  /// Something was removed.
  void space_may_be_free() noexcept {
    if (full_) nudge_.nudge();
  }

 private:
  Task<> look_after();
  Task<> restore();
  Task<Result<>> allocate();

  std::string directory_;
  File file_;
  std::uint64_t bytes_ = 0;
  std::uint64_t wanted_bytes_ = 0;  // what last found no space
  bool held_ = false;
  bool full_ = false;
  bool stopping_ = false;
  Mutex mutex_;  // one change of the file at a time
  Nudge nudge_;
  TaskScope scope_;
};

}  // namespace ashlar::blob

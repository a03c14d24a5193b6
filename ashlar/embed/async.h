#pragma once

/// Calls under way, to be waited for later: without a callback, and without an allocation for keys of up to
/// 125 bytes.
///
///   std::array<ashlar::PendingPut, 64> puts;
///   for (std::size_t i = 0; i < puts.size(); ++i) db.put_async(keys[i], values[i], puts[i]);
///   for (ashlar::PendingPut& put : puts) if (!put.wait()) …

#include <cstddef>
#include <optional>
#include <string>

#include "ashlar/base/error.h"

namespace ashlar {

/// A put or erase. One thread at a time; not while it is under way is it used for another call, moved or
/// destroyed, but that the destructor waits. The value that was put lives until it is ready().
class PendingPut {
 public:
  PendingPut() noexcept = default;
  PendingPut(const PendingPut&) = delete;
  PendingPut& operator=(const PendingPut&) = delete;
  ~PendingPut();

  /// Whether wait() returns at once.
  bool ready() const noexcept;
  /// Returns when the write is acknowledged, or has failed: as Db::put(). `invalid` on a shard, where it is
  /// not ready, and where nothing was begun. The same result each time.
  Result<> wait() noexcept;

 private:
  friend class Db;
  struct State;
  State* state() noexcept;
  const State* state() const noexcept;
  void end() noexcept;

  alignas(std::max_align_t) std::byte memory_[512];
  bool begun_ = false;
};

/// A look-up. As PendingPut.
class PendingGet {
 public:
  PendingGet() noexcept = default;
  PendingGet(const PendingGet&) = delete;
  PendingGet& operator=(const PendingGet&) = delete;
  ~PendingGet();

  bool ready() const noexcept;
  /// True: found, and value() is it.
  Result<bool> wait() noexcept;
  std::string& value() noexcept { return value_; }

 private:
  friend class Db;
  struct State;
  State* state() noexcept;
  const State* state() const noexcept;
  void end() noexcept;

  alignas(std::max_align_t) std::byte memory_[512];
  std::string value_;
  std::optional<bool> here_;  // what memory answered
  bool begun_ = false;
};

}  // namespace ashlar

#pragma once

/// Look-ups by a thread of the program, in place: what memory has is found without a message, a lock, an
/// allocation or an atomic read-modify-write.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ashlar/base/error.h"
#include "ashlar/embed/options.h"

namespace ashlar {

namespace embed {
class Engine;
}

/// A value where it stands in the database's memory, not copied. Valid until it is reset, used for another
/// look-up, or destroyed: on the thread that filled it, and soon. While it holds something, the database
/// frees no memory that readers might see, and cannot be closed.
class PinnedValue {
 public:
  PinnedValue() = default;
  PinnedValue(const PinnedValue&) = delete;
  PinnedValue& operator=(const PinnedValue&) = delete;

  ~PinnedValue() { reset(); }

  std::string_view view() const noexcept { return view_; }
  void reset() noexcept {
    view_ = {};
    if (pinned_) unpin();
  }

 private:
  friend class Reader;
  void pin() noexcept;
  void unpin() noexcept;

  std::string_view view_;
  bool pinned_ = false;
  alignas(void*) std::byte guard_[sizeof(void*)];  // of the epoch that keeps the value, while pinned_
  std::string copy_;                               // of what its shard had to read from a device
};

/// A thread's way to read. Each thread makes its own (it is cheap, and may be copied); one thread at a time.
/// After the database was closed, it answers `closed`.
///
/// A look-up that memory cannot answer asks the key's shard and waits. `too_large` for a key beyond 65,532
/// bytes, `timed_out` at the deadline of the options, `corrupt` and `io` as the device has it.
class Reader {
 public:
  /// True: found, and `value` is it. False: there is none, and `value` is as it was.
  Result<bool> get(std::string_view key, std::string& value) const;
  Result<bool> get(std::string_view key, PinnedValue& value) const;
  /// Copies as much as fits. The value's size in bytes, or nothing where there is none.
  Result<std::optional<std::size_t>> get(std::string_view key, std::span<char> into) const;
  Result<std::optional<std::string>> get(std::string_view key) const;
  Result<bool> contains(std::string_view key) const;

  /// Of the look-ups from here on, in place of that of the options.
  void set_deadline(Deadline deadline) noexcept { options_.deadline = deadline; }

 private:
  friend class Db;
  Reader(std::shared_ptr<embed::Engine> engine, const ReadOptions& options) noexcept
      : engine_(std::move(engine)), options_(options) {}

  std::shared_ptr<embed::Engine> engine_;
  ReadOptions options_;
};

}  // namespace ashlar

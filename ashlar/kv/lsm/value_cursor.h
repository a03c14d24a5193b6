#pragma once

/// A scan over tables with separated values.

#include <deque>

#include "ashlar/kv/lsm/cursor.h"

namespace ashlar::lsm {

/// Shows what an LsmCursor does, with values in the place of references. From the first reference on it walks
/// ahead of its caller: each further one doubles how far, so that up to window_max values, or window_bytes of
/// them, are being read at once. It walks no further than memory has the blocks, and no more than what the
/// caller says that it wants. What it reads stays out of the cache. A value is valid until the next next(),
/// as any item is.
class ValueCursor final : public kv::Cursor {
 public:
  ValueCursor(std::unique_ptr<LsmCursor> cursor, const kv::ScanOptions& options);
  ~ValueCursor() override;

  void seek(Bytes key) override;

 private:
  static constexpr std::size_t window_max = 16;
  static constexpr std::uint64_t window_bytes = 8u << 20;
  struct Ahead;

  bool advance(Result<bool>& result) noexcept override;
  Task<Result<bool>> fetch() override;
  void leave() noexcept;
  bool take(const Result<bool>& more);
  void push();
  void walk_ahead();
  /// An item is shown: of so many that the caller will ask for.
  void count() noexcept {
    if (left_ != ~std::uint64_t{0} && left_ > 1) --left_;
  }
  void drop(Ahead* ahead) noexcept;
  bool show_front(Result<bool>& result) noexcept;
  static Task<> read(Ahead* ahead, ValueFile* file);

  std::unique_ptr<LsmCursor> cursor_;
  Instant deadline_;
  kv::Receipt* receipt_;
  std::uint64_t left_;        // items that the caller will ask for
  std::deque<Ahead*> ahead_;  // in order; the first one may be what is shown
  std::uint64_t ahead_bytes_ = 0;
  std::size_t window_ = 1;
  bool shown_ = false;                 // the first one
  bool waits_ = false;                 // the cursor is in the middle of a step
  std::optional<Result<bool>> ended_;  // it will show no more, or has failed
};

}  // namespace ashlar::lsm

#pragma once

/// How blocks are compressed: lz4 where they are read and written often, zstd where they stay.

#include <memory>

#include "ashlar/base/bytes.h"
#include "ashlar/kv/lsm/table/format.h"

struct ZSTD_CCtx_s;

namespace ashlar::lsm {

/// Compresses one block after the other. Not thread-safe. What zstd keeps between blocks is made with the
/// first.
class Compressor {
 public:
  /// `zstd_level`: 1 to 19.
  explicit Compressor(Compression method, int zstd_level) noexcept
      : method_(method), zstd_level_(zstd_level) {}

  Compression method() const noexcept { return method_; }
  /// Returns the bytes used of `to`, or 0 if it would not fit, or there is no memory for it.
  std::size_t compress(Bytes raw, MutableBytes to) noexcept;
  std::size_t memory_bytes() const noexcept;

 private:
  struct Free {
    void operator()(ZSTD_CCtx_s* context) const noexcept;
  };

  Compression method_;
  int zstd_level_;
  std::unique_ptr<ZSTD_CCtx_s, Free> zstd_;
};

/// Whether `raw` was filled exactly. Any thread.
bool decompress(Compression method, Bytes stored, MutableBytes raw) noexcept;

}  // namespace ashlar::lsm

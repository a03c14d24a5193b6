#include "ashlar/kv/lsm/table/compression.h"

#include <lz4.h>
#include <zstd.h>

namespace ashlar::lsm {

namespace {

bool lz4_takes(std::size_t bytes) noexcept {
  return bytes <= LZ4_MAX_INPUT_SIZE;
}

struct FreeDecompression {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

/// One a thread: it costs more to make than a block takes, and nothing of it outlives a call.
ZSTD_DCtx* decompression() noexcept {
  static thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompression> context(ZSTD_createDCtx());
  return context.get();
}

}  // namespace

void Compressor::Free::operator()(ZSTD_CCtx_s* context) const noexcept {
  ZSTD_freeCCtx(context);
}

std::size_t Compressor::compress(Bytes raw, MutableBytes to) noexcept {
  switch (method_) {
    case Compression::none: return 0;
    case Compression::lz4: {
      if (!lz4_takes(raw.size()) || !lz4_takes(to.size())) return 0;
      const int used =
          LZ4_compress_default(reinterpret_cast<const char*>(raw.data()), reinterpret_cast<char*>(to.data()),
                               static_cast<int>(raw.size()), static_cast<int>(to.size()));
      return used > 0 ? static_cast<std::size_t>(used) : 0;
    }
    case Compression::zstd: {
      if (zstd_ == nullptr) zstd_.reset(ZSTD_createCCtx());
      if (zstd_ == nullptr) return 0;
      const std::size_t used =
          ZSTD_compressCCtx(zstd_.get(), to.data(), to.size(), raw.data(), raw.size(), zstd_level_);
      return ZSTD_isError(used) != 0 ? 0 : used;
    }
  }
  return 0;
}

std::size_t Compressor::memory_bytes() const noexcept {
  return zstd_ != nullptr ? ZSTD_sizeof_CCtx(zstd_.get()) : 0;
}

bool decompress(Compression method, Bytes stored, MutableBytes raw) noexcept {
  switch (method) {
    case Compression::none: return false;
    case Compression::lz4: {
      if (!lz4_takes(raw.size()) || !lz4_takes(stored.size())) return false;
      const int got = LZ4_decompress_safe(reinterpret_cast<const char*>(stored.data()),
                                          reinterpret_cast<char*>(raw.data()),
                                          static_cast<int>(stored.size()), static_cast<int>(raw.size()));
      return got >= 0 && static_cast<std::size_t>(got) == raw.size();
    }
    case Compression::zstd: {
      ZSTD_DCtx* context = decompression();
      if (context == nullptr) return false;
      const std::size_t got =
          ZSTD_decompressDCtx(context, raw.data(), raw.size(), stored.data(), stored.size());
      return ZSTD_isError(got) == 0 && got == raw.size();
    }
  }
  return false;
}

}  // namespace ashlar::lsm

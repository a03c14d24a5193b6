#pragma once

/// Blank memory: padding, and blocks that were never written.

#include "ashlar/base/bytes.h"

namespace ashlar {

inline bool all_zero(Bytes bytes) noexcept {
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace ashlar

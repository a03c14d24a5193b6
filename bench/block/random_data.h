#pragma once

/// Data that neither a file system nor a device can compress or leave out.

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "ashlar/base/bytes.h"
#include "ashlar/base/random.h"

namespace ashlar::bench::block {

inline void fill_random(MutableBytes memory, std::uint64_t seed) noexcept {
  Random random(seed);
  for (std::size_t at = 0; at < memory.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t bits = random.next();
    std::memcpy(memory.data() + at, &bits, std::min(sizeof bits, memory.size() - at));
  }
}

}  // namespace ashlar::bench::block

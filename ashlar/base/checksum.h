#pragma once

/// Checksums and hashes. CRC32C guards what is stored; xxh3 spreads keys.

#include <cstdint>

#include "ashlar/base/bytes.h"

namespace ashlar {

/// CRC32C (Castagnoli, RFC 3720 appendix B.4), by the CPU's instruction where it has one. Continues from
/// `previous`: crc32c(b, crc32c(a)) == crc32c(a + b).
std::uint32_t crc32c(Bytes bytes, std::uint32_t previous = 0) noexcept;

/// The same without the instruction: what crc32c falls back to, and what tests compare it with.
std::uint32_t crc32c_portable(Bytes bytes, std::uint32_t previous = 0) noexcept;

/// XXH3, 64 bits. Stable across versions and machines: stored formats depend on it.
std::uint64_t xxh3(Bytes bytes, std::uint64_t seed = 0) noexcept;

}  // namespace ashlar

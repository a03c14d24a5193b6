#include "ashlar/base/checksum.h"

#include <xxhash.h>

#include "ashlar/base/endian.h"

namespace ashlar {

std::uint32_t crc32c(Bytes bytes, std::uint32_t previous) noexcept {
  std::uint64_t crc = ~previous;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) crc = __builtin_ia32_crc32di(crc, load_le<std::uint64_t>(at));
  auto tail = static_cast<std::uint32_t>(crc);
  for (; left > 0; ++at, --left) tail = __builtin_ia32_crc32qi(tail, static_cast<unsigned char>(*at));
  return ~tail;
}

std::uint64_t xxh3(Bytes bytes, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace ashlar

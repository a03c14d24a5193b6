#include "ashlar/base/checksum.h"

#include <xxhash.h>

#include <array>
#include <atomic>

#include "ashlar/base/endian.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

// CRC32C. The CPU's instruction takes 8 bytes and delivers after three cycles, but one can start every cycle:
//  1. While three blocks are left, run three checksums side by side: A over the first block, from the
//  checksum so
//     far, B and C over the next two, from zero.
//  2. Join them: a checksum is linear, so appending n bytes to what A covers multiplies A by x^(8n) modulo
//  the
//     polynomial. For the two block sizes that product is four table look-ups.
//  3. Do so with long blocks, then with short ones, and finish the rest eight bytes and then one byte at a
//  time.
// Where the CPU lacks the instruction, eight tables take eight bytes at a time.

namespace ashlar {
namespace {

constexpr std::uint32_t polynomial = 0x82f63b78;  // bit-reversed, as the checksum itself: bit 31 is x^0

using Table = std::array<std::array<std::uint32_t, 256>, 8>;

// table[k][b]: the checksum of byte b followed by k zero bytes.
constexpr Table software_table = [] {
  Table table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? polynomial : 0);
    table[0][byte] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t byte = 0; byte < 256; ++byte)
      table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 0xff];
  return table;
}();

std::uint32_t software(std::uint32_t crc, const std::byte* at, std::size_t left) noexcept {
  const Table& t = software_table;
  for (; left >= 8; at += 8, left -= 8) {
    const std::uint64_t word = load_le<std::uint64_t>(at) ^ crc;
    crc = t[7][word & 0xff] ^ t[6][word >> 8 & 0xff] ^ t[5][word >> 16 & 0xff] ^ t[4][word >> 24 & 0xff] ^
          t[3][word >> 32 & 0xff] ^ t[2][word >> 40 & 0xff] ^ t[1][word >> 48 & 0xff] ^ t[0][word >> 56];
  }
  for (; left > 0; ++at, --left) crc = (crc >> 8) ^ t[0][(crc ^ static_cast<std::uint32_t>(*at)) & 0xff];
  return crc;
}

#if defined(__x86_64__) || defined(__aarch64__)

// Three long blocks are 4,080 bytes, so that a 4 KiB page and a 16 KiB block leave little for the slower
// steps.
constexpr std::size_t long_block = 1360, short_block = 64;

constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = std::uint32_t{1} << 31; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b >> 1) ^ (b & 1 ? polynomial : 0);
  }
  return product;
}

/// Appends a fixed number of zero bytes to what a checksum covers.
struct Shift {
  std::array<std::array<std::uint32_t, 256>, 4> table{};

  consteval explicit Shift(std::size_t bytes) {
    std::uint32_t power = std::uint32_t{1} << 31;  // x^0
    for (std::size_t i = 0; i < bytes; ++i) power = multiply(power, std::uint32_t{1} << (31 - 8));
    for (std::uint32_t k = 0; k < 4; ++k) {
      // Linear in the byte: eight products, the rest by addition.
      for (std::uint32_t byte = 1; byte < 256; ++byte) {
        const std::uint32_t low = byte & (0 - byte);
        table[k][byte] =
            byte == low ? multiply(byte << (8 * k), power) : table[k][low] ^ table[k][byte ^ low];
      }
    }
  }
  std::uint32_t operator()(std::uint32_t crc) const noexcept {
    return table[0][crc & 0xff] ^ table[1][crc >> 8 & 0xff] ^ table[2][crc >> 16 & 0xff] ^
           table[3][crc >> 24];
  }
};
constexpr Shift shift_long(long_block), shift_short(short_block);

#if defined(__x86_64__)
#define ASHLAR_CRC_TARGET __attribute__((target("sse4.2")))
bool hardware_present() noexcept {
  return __builtin_cpu_supports("sse4.2");
}
ASHLAR_CRC_TARGET inline std::uint32_t step8(std::uint32_t crc, const std::byte* at) noexcept {
  return static_cast<std::uint32_t>(__builtin_ia32_crc32di(crc, load_le<std::uint64_t>(at)));
}
ASHLAR_CRC_TARGET inline std::uint32_t step1(std::uint32_t crc, std::byte byte) noexcept {
  return __builtin_ia32_crc32qi(crc, static_cast<unsigned char>(byte));
}
#else
#define ASHLAR_CRC_TARGET __attribute__((target("crc")))
bool hardware_present() noexcept {
  return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}
ASHLAR_CRC_TARGET inline std::uint32_t step8(std::uint32_t crc, const std::byte* at) noexcept {
  return __builtin_arm_crc32cd(crc, load_le<std::uint64_t>(at));
}
ASHLAR_CRC_TARGET inline std::uint32_t step1(std::uint32_t crc, std::byte byte) noexcept {
  return __builtin_arm_crc32cb(crc, static_cast<unsigned char>(byte));
}
#endif

template <std::size_t block>
ASHLAR_CRC_TARGET inline std::uint32_t three_blocks(std::uint32_t a, const std::byte* at,
                                                    const Shift& shift) noexcept {
  static_assert(block % 8 == 0);
  std::uint32_t b = 0, c = 0;
  for (const std::byte* const end = at + block; at != end; at += 8) {
    a = step8(a, at);
    b = step8(b, at + block);
    c = step8(c, at + 2 * block);
  }
  return shift(shift(a) ^ b) ^ c;
}

ASHLAR_CRC_TARGET std::uint32_t hardware(std::uint32_t crc, const std::byte* at, std::size_t left) noexcept {
  for (; left >= 3 * long_block; at += 3 * long_block, left -= 3 * long_block)
    crc = three_blocks<long_block>(crc, at, shift_long);
  for (; left >= 3 * short_block; at += 3 * short_block, left -= 3 * short_block)
    crc = three_blocks<short_block>(crc, at, shift_short);
  for (; left >= 8; at += 8, left -= 8) crc = step8(crc, at);
  for (; left > 0; ++at, --left) crc = step1(crc, *at);
  return crc;
}
#undef ASHLAR_CRC_TARGET

#else
constexpr auto hardware = software;
bool hardware_present() noexcept {
  return false;
}
#endif

using Function = std::uint32_t(std::uint32_t, const std::byte*, std::size_t) noexcept;
std::uint32_t choose(std::uint32_t crc, const std::byte* at, std::size_t left) noexcept;

// The first call chooses. Threads that meet there choose the same.
constinit std::atomic<Function*> chosen = choose;

std::uint32_t choose(std::uint32_t crc, const std::byte* at, std::size_t left) noexcept {
  Function* const function = hardware_present() ? hardware : software;
  chosen.store(function, std::memory_order_relaxed);
  return function(crc, at, left);
}

}  // namespace

std::uint32_t crc32c(Bytes bytes, std::uint32_t previous) noexcept {
  return ~chosen.load(std::memory_order_relaxed)(~previous, bytes.data(), bytes.size());
}

std::uint32_t crc32c_portable(Bytes bytes, std::uint32_t previous) noexcept {
  return ~software(~previous, bytes.data(), bytes.size());
}

std::uint64_t xxh3(Bytes bytes, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace ashlar

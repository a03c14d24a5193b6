#include "ashlar/base/checksum.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "ashlar/base/random.h"

namespace ashlar {
namespace {

// RFC 3720, appendix B.4.
TEST(Crc32c, MatchesTheTestVectorsOfRfc3720) {
  std::array<std::byte, 32> bytes;
  bytes.fill(std::byte{0});
  EXPECT_EQ(crc32c(bytes), 0x8a9136aau);
  bytes.fill(std::byte{0xff});
  EXPECT_EQ(crc32c(bytes), 0x62a8ab43u);
  for (unsigned i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(i);
  EXPECT_EQ(crc32c(bytes), 0x46dd794eu);
  for (unsigned i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(31 - i);
  EXPECT_EQ(crc32c(bytes), 0x113fdb5cu);
  const unsigned char read_command[48] = {0x01, 0xc0, 0, 0, 0, 0, 0,    0, 0,    0, 0, 0,    0, 0, 0, 0,
                                          0x14, 0,    0, 0, 0, 0, 0x04, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
                                          0x28, 0,    0, 0, 0, 0, 0,    0, 0x02, 0, 0, 0,    0, 0, 0, 0};
  EXPECT_EQ(crc32c(std::as_bytes(std::span(read_command))), 0xd9963a56u);
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32c, HardwareAndPortableAgreeForEverySizeAndAlignment) {
  Random random(1);
  std::vector<std::byte> bytes(20'000);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  const auto check = [&](std::size_t from, std::size_t size) {
    const Bytes part = Bytes(bytes).subspan(from, size);
    ASSERT_EQ(crc32c(part), crc32c_portable(part)) << from << " + " << size;
  };
  for (std::size_t size = 0; size < 600; ++size) check(size % 8, size);
  for (std::size_t size = 4'000; size < 4'200; ++size) check(size % 16, size);
  for (int i = 0; i < 500; ++i) {
    const std::size_t size = random.below(bytes.size());
    check(random.below(bytes.size() - size), size);
  }
}

TEST(Crc32c, ContinuesFromAnEarlierPart) {
  Random random(2);
  std::vector<std::byte> bytes(10'000);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  const std::uint32_t whole = crc32c(bytes);
  for (int i = 0; i < 100; ++i) {
    const std::size_t cut = random.below(bytes.size());
    const Bytes left = Bytes(bytes).first(cut), right = Bytes(bytes).subspan(cut);
    ASSERT_EQ(crc32c(right, crc32c(left)), whole);
    ASSERT_EQ(crc32c_portable(right, crc32c_portable(left)), whole);
  }
}

TEST(Crc32c, SeesEachFlippedBit) {
  std::vector<std::byte> bytes(4'096);
  const std::uint32_t before = crc32c(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; bit += 61) {
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    ASSERT_NE(crc32c(bytes), before);
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
}

// From the reference implementation (xxHash 0.8): a change would make stored filters and slots wrong.
TEST(Xxh3, IsStable) {
  EXPECT_EQ(xxh3({}), 0x2d06800538d394c2u);
  EXPECT_NE(xxh3(as_bytes("ashlar")), xxh3(as_bytes("ashlar"), 1));
}

}  // namespace
}  // namespace ashlar

#include "ashlar/base/bytes.h"

#include <gtest/gtest.h>

#include <array>

#include "ashlar/base/endian.h"
#include "ashlar/base/random.h"
#include "ashlar/base/zero.h"

namespace ashlar {
namespace {

TEST(Bytes, OrderAsUnsignedShorterFirst) {
  EXPECT_LT(compare(as_bytes("a"), as_bytes("b")), 0);
  EXPECT_LT(compare(as_bytes("a"), as_bytes("ab")), 0);
  EXPECT_GT(compare(as_bytes("\xff"), as_bytes("a")), 0);
  EXPECT_EQ(compare(as_bytes(""), Bytes()), 0);
  EXPECT_TRUE(equal(as_bytes("same"), as_bytes("same")));
  EXPECT_FALSE(equal(as_bytes("same"), as_bytes("sane")));
  EXPECT_EQ(as_text(as_bytes("round trip")), "round trip");
}

TEST(Bytes, AreZeroToTheLast) {
  std::array<std::byte, 33> block{};
  EXPECT_TRUE(all_zero(Bytes()));
  EXPECT_TRUE(all_zero(block));
  for (std::byte& byte : block) {
    byte = std::byte{0x80};
    EXPECT_FALSE(all_zero(block));
    byte = std::byte{0};
  }
}

TEST(Endian, IsLittleAtAnyAlignment) {
  std::array<std::byte, 9> buffer{};
  store_le<std::uint32_t>(buffer.data() + 1, 0x04030201);
  EXPECT_EQ(buffer[1], std::byte{1});
  EXPECT_EQ(buffer[4], std::byte{4});
  EXPECT_EQ(load_le<std::uint32_t>(buffer.data() + 1), 0x04030201u);
}

TEST(Varint, ReadsBackWhatItWrites) {
  Random random(1);
  std::array<std::byte, varint_size_max> buffer;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t value =
        i == 0 ? 0 : (i == 1 ? ~std::uint64_t{0} : random.skewed(0, ~std::uint64_t{0}));
    const std::byte* end = store_varint(buffer.data(), value);
    std::uint64_t read = 0;
    ASSERT_EQ(load_varint(buffer.data(), end, read), end);
    ASSERT_EQ(read, value);
    for (const std::byte* cut = buffer.data(); cut != end; ++cut)
      ASSERT_EQ(load_varint(buffer.data(), cut, read), nullptr) << "cut short";
  }
}

TEST(Varint, RejectsWhatIsTooLong) {
  std::array<std::byte, 11> buffer;
  buffer.fill(std::byte{0x80});
  std::uint64_t value = 0;
  EXPECT_EQ(load_varint(buffer.data(), buffer.data() + buffer.size(), value), nullptr);
  buffer[9] = std::byte{2};  // bit 64
  EXPECT_EQ(load_varint(buffer.data(), buffer.data() + buffer.size(), value), nullptr);
  buffer[9] = std::byte{1};  // bit 63
  EXPECT_EQ(load_varint(buffer.data(), buffer.data() + buffer.size(), value), buffer.data() + 10);
}

}  // namespace
}  // namespace ashlar

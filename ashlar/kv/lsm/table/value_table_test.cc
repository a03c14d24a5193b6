#include "ashlar/kv/lsm/table/value_table.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "ashlar/base/random.h"

namespace ashlar::lsm {
namespace {

Bytes encoded(const ValueRef& ref, std::array<std::byte, value_ref_bytes_max>& to) {
  return {to.data(), ref.encode(to.data())};
}

TEST(ValueRef, DecodesWhatItEncodes) {
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const ValueRef ref{.table = random.next() >> random.below(64),
                       .offset = (random.next() >> 32 >> random.below(32)) * value_align,
                       .bytes = static_cast<std::uint32_t>(random.between(17, 1u << 24)),
                       .size = static_cast<std::uint32_t>(random.between(1, kv::value_bytes_max))};
    std::array<std::byte, value_ref_bytes_max> memory;
    const Bytes bytes = encoded(ref, memory);
    const auto decoded = ValueRef::decode(bytes, {});
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, ref);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) EXPECT_FALSE(ValueRef::decode(bytes.first(cut), {}));
    EXPECT_LE(ref.read_from(), ref.offset);
    EXPECT_GE(ref.read_from() + ref.read_bytes(), ref.offset + ref.bytes);
    EXPECT_LE(ref.read_bytes(), round_up(ref.bytes, page_bytes) + page_bytes);
  }
}

TEST(ValueRef, RefusesWhatCannotBe) {
  std::array<std::byte, value_ref_bytes_max> memory;
  for (const ValueRef& ref : {ValueRef{.table = 1, .offset = 0, .bytes = 16, .size = 1},
                              ValueRef{.table = 1, .offset = 0, .bytes = 20, .size = 0},
                              ValueRef{.table = 1, .offset = 0, .bytes = ~0u, .size = 1},
                              ValueRef{.table = 1, .offset = value_table_bytes_max, .bytes = 20, .size = 4}})
    EXPECT_FALSE(ValueRef::decode(encoded(ref, memory), {}));
  auto bytes = encoded({.table = 1, .offset = 16, .bytes = 20, .size = 4}, memory);
  EXPECT_TRUE(ValueRef::decode(bytes, {}));
  EXPECT_FALSE(ValueRef::decode({bytes.data(), bytes.size() + 1}, {}));
}

/// A value at 32 of table 7, with every bit of its frame flipped in turn.
TEST(Value, OpensWhereItWasWrittenAndNowhereElse) {
  for (const Compression method : {Compression::none, Compression::lz4, Compression::zstd}) {
    const std::string value = std::string(3000, 'v') + "end";
    Compressor compressor(method, 3);
    std::vector<std::byte> blocks(2 * page_bytes);
    const std::size_t bytes =
        write_value(as_bytes(value), compressor, MutableBytes(blocks).subspan(32), {7, 32});
    EXPECT_EQ(bytes < value.size(), method != Compression::none);
    const ValueRef ref{.table = 7,
                       .offset = 32,
                       .bytes = static_cast<std::uint32_t>(bytes),
                       .size = static_cast<std::uint32_t>(value.size())};
    const auto frame = open_value(blocks, ref);
    ASSERT_TRUE(frame);
    std::vector<std::byte> raw(frame->stored.begin(), frame->stored.end());
    if (frame->compression != Compression::none) {
      raw.resize(ref.size);
      ASSERT_TRUE(decompress(*frame, raw, ref.place()));
    }
    EXPECT_EQ(as_text(raw), value);

    for (ValueRef other :
         {ValueRef{8, 32, ref.bytes, ref.size}, ValueRef{7, page_bytes + 32, ref.bytes, ref.size},
          ValueRef{7, 32, ref.bytes - 1, ref.size}, ValueRef{7, 32, ref.bytes, ref.size + 1}})
      EXPECT_EQ(open_value(blocks, other).error().code, Errc::corrupt);
    for (std::size_t bit = 0; bit < bytes * 8; bit += 7) {
      blocks[32 + bit / 8] ^= std::byte{1} << bit % 8;
      EXPECT_FALSE(open_value(blocks, ref)) << bit;
      blocks[32 + bit / 8] ^= std::byte{1} << bit % 8;
    }
    EXPECT_FALSE(open_value(Bytes(blocks).first(bytes), ref));
  }
}

TEST(Value, StaysAsItIsWhereCompressionDoesNotPay) {
  Random random(2);
  std::string value;
  for (int i = 0; i < 5000; ++i) value.push_back(static_cast<char>(random.next()));
  Compressor compressor(Compression::zstd, 3);
  std::vector<std::byte> to(6000);
  EXPECT_EQ(write_value(as_bytes(value), compressor, to, {1, 0}), frame_header_bytes + value.size());
}

TEST(ValueFooter, SaysOfWhichTableItIs) {
  const ValueFooter footer{.number = 9, .owner = 3, .data_end = 5008, .values = 2};
  std::array<std::byte, page_bytes> page;
  footer.encode(page);
  const std::uint64_t bytes = ValueFooter::file_bytes(5008);
  EXPECT_EQ(bytes, 3 * page_bytes);
  const auto decoded = ValueFooter::decode(page, 9, bytes, 3);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, footer);
  EXPECT_TRUE(ValueFooter::looks_like(page));
  EXPECT_EQ(ValueFooter::decode(page, 8, bytes, 3).error().code, Errc::corrupt);
  EXPECT_EQ(ValueFooter::decode(page, 9, bytes + page_bytes, 3).error().code, Errc::corrupt);
  EXPECT_EQ(ValueFooter::decode(page, 9, bytes, 4).error().code, Errc::corrupt);
  for (std::size_t bit = 0; bit < 8 * 64; ++bit) {
    page[bit / 8] ^= std::byte{1} << bit % 8;
    EXPECT_FALSE(ValueFooter::decode(page, 9, bytes, 3)) << bit;
    page[bit / 8] ^= std::byte{1} << bit % 8;
  }
}

}  // namespace
}  // namespace ashlar::lsm

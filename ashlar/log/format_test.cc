#include "ashlar/log/format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/log/group_buffer.h"
#include "ashlar/runtime/memory/buffer_pool.h"

namespace ashlar::wal {
namespace {

constexpr Place place{.generation = 5, .offset = 8 * blob::block_bytes};

struct Memory {
  IoBuffer of(std::size_t bytes) { return *pool.allocate(bytes); }
  Regions regions;
  MemoryBudget budget{MemoryCap::unlimited()};
  BufferPool pool{regions, budget};
};

void add(GroupBuffer& group, const RecordHeader& header, std::uint64_t index, std::span<const Bytes> parts,
         std::uint32_t payload) {
  std::byte* to = group.reserve();
  for (const Bytes part : parts) to = std::ranges::copy(part, to).out;
  group.commit(header, index, payload);
}

/// A sealed group of three records, the second one empty.
std::vector<std::byte> make_group(Place at) {
  Memory memory;
  GroupBuffer group(memory.of(64u << 10));
  group.open(17, 100);
  const Bytes parts[] = {as_bytes("hello, "), as_bytes(""), as_bytes("log")};
  add(group, {.stream = 3, .term = 4, .sequence = 9}, 100, parts, 10);
  add(group, {.type = RecordType::prepare}, 101, {}, 0);
  const Bytes last = as_bytes("the end");
  add(group, {.sequence = 11}, 102, {&last, 1}, 7);
  const Bytes sealed = group.seal(16, 77, 66, at);
  return {sealed.begin(), sealed.end()};
}

std::optional<std::uint64_t> check(Bytes block, Place at) {
  const auto header = decode_group_header(block, at, block.size());
  if (!header) return std::nullopt;
  return validate_group(*header, block.first(header->bytes), at);
}

TEST(LogFormat, GroupRoundTrip) {
  const auto block = make_group(place);
  ASSERT_EQ(block.size(), blob::block_bytes);
  const auto header = decode_group_header(block, place, block.size());
  ASSERT_TRUE(header);
  EXPECT_EQ(header->ordinal, 17u);
  EXPECT_EQ(header->acknowledged, 16u);
  EXPECT_EQ(header->first_index, 100u);
  EXPECT_EQ(header->session, 77u);
  EXPECT_EQ(header->follows, 66u);
  EXPECT_EQ(header->records, 3u);
  EXPECT_EQ(check(block, place), 103u);

  RecordCursor records(Bytes(block).first(header->bytes), 1, place.offset);
  const auto first = records.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(as_text(first->payload), "hello, log");
  EXPECT_EQ(first->header.stream, 3u);
  EXPECT_EQ(first->header.term, 4u);
  EXPECT_EQ(first->header.sequence, 9u);
  EXPECT_EQ(first->index, 100u);
  EXPECT_EQ(first->offset, place.offset + group_header_bytes);
  EXPECT_EQ(records.next()->header.type, RecordType::prepare);
  EXPECT_EQ(as_text(records.next()->payload), "the end");
  EXPECT_FALSE(records.next());
}

TEST(LogFormat, EveryFlippedBitIsFound) {
  auto block = make_group(place);
  const std::size_t used = decode_group_header(block, place, block.size())->bytes;
  // The padding behind each record and behind the group is not covered, and harmless.
  std::vector<bool> covered(used * 8, true);
  RecordCursor records(Bytes(block).first(used), 1, 0);
  while (const auto record = records.next()) {
    const std::size_t end = record->offset + record_header_bytes + record->payload.size();
    for (std::size_t at = end; at % 8 != 0; ++at) {
      for (unsigned bit = 0; bit < 8; ++bit) covered[at * 8 + bit] = false;
    }
  }
  for (std::size_t bit = 0; bit < used * 8; ++bit) {
    block[bit / 8] ^= std::byte(1 << bit % 8);
    EXPECT_EQ(check(block, place).has_value(), !covered[bit]) << bit;
    block[bit / 8] ^= std::byte(1 << bit % 8);
  }
}

TEST(LogFormat, ValidatesInItsPlaceOnly) {
  const auto block = make_group(place);
  EXPECT_FALSE(check(block, {place.generation + 1, place.offset}));
  EXPECT_FALSE(check(block, {place.generation - 1, place.offset}));
  EXPECT_FALSE(check(block, {place.generation, place.offset + blob::block_bytes}));
  EXPECT_FALSE(check(Bytes(block).first(100), place)) << "cut short";
  EXPECT_FALSE(check(Bytes(block).first(10), place));
}

TEST(LogFormat, SegmentHeader) {
  std::vector<std::byte> block(blob::block_bytes);
  EXPECT_FALSE(*decode_segment_header(block, 3)) << "zeroes: never finished";
  encode(SegmentHeader{.generation = 8, .log = 1, .number = 3, .bytes = 1u << 20}, block);
  const auto header = decode_segment_header(block, 3);
  ASSERT_TRUE(header && *header);
  EXPECT_EQ((*header)->generation, 8u);
  EXPECT_EQ((*header)->bytes, 1u << 20);
  EXPECT_EQ(decode_segment_header(block, 4).error().code, Errc::corrupt) << "another segment's";
  for (std::size_t bit = 0; bit < segment_header_bytes * 8; ++bit) {
    block[bit / 8] ^= std::byte(1 << bit % 8);
    const auto flipped = decode_segment_header(block, 3);
    EXPECT_FALSE(flipped) << bit;
    block[bit / 8] ^= std::byte(1 << bit % 8);
  }
}

// A writer with a fault, not a device: checksums are right, the content makes no sense.
TEST(LogFormat, RefusesWhatNoWriterMakes) {
  const auto sealed = [](auto&& fill) {
    Memory memory;
    GroupBuffer group(memory.of(8192));
    group.open(1, 10);
    fill(group);
    const Bytes bytes = group.seal(0, 1, 0, place);
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  EXPECT_EQ(check(sealed([](GroupBuffer&) {}), place), 10u) << "an empty group is one";
  EXPECT_FALSE(check(sealed([](GroupBuffer& group) { add(group, {}, 11, {}, 0); }), place)) << "index leaps";
  EXPECT_FALSE(check(sealed([](GroupBuffer& group) {
                       add(group, {}, 10, {}, 0);
                       add(group, {}, 10, {}, 0);
                     }),
                     place));
  EXPECT_FALSE(
      check(sealed([](GroupBuffer& group) { add(group, {.type = RecordType(9)}, 10, {}, 0); }), place));
  EXPECT_EQ(check(sealed([](GroupBuffer& group) {
                    add(group, {.type = RecordType::truncate_suffix}, 10, {}, 0);
                    add(group, {}, 10, {}, 0);
                  }),
                  place),
            11u);
  EXPECT_FALSE(check(sealed([](GroupBuffer& group) {
                       add(group, {}, 10, {}, 0);
                       add(group, {.type = RecordType::truncate_suffix}, 11, {}, 0);
                     }),
                     place))
      << "not the first of its group";
}

}  // namespace
}  // namespace ashlar::wal

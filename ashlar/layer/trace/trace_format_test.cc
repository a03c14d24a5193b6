#include "ashlar/layer/trace/trace_format.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/base/random.h"

namespace ashlar::trace {
namespace {

constexpr std::uint64_t number = 0x1234567890abcdef;

Entry draw_entry(Random& random) {
  Entry entry;
  entry.op = static_cast<Op>(random.below(6));
  entry.durable = random.one_in(2);
  entry.atomic = random.one_in(2);
  entry.deadline = random.one_in(5);
  entry.priority = static_cast<IoPriority>(random.below(3));
  entry.result = static_cast<std::uint8_t>(random.below(3));
  entry.shard = 3;
  entry.completed_ns = random.skewed(0, std::uint64_t{1} << 62);
  entry.latency_ns = random.skewed(0, entry.completed_ns);
  entry.lba = random.skewed(0, std::uint64_t{1} << 62);
  entry.blocks = random.skewed(0, std::uint64_t{1} << 62);
  return entry;
}

struct Chunk {
  std::vector<std::byte> memory{chunk_bytes};
  std::vector<Entry> entries;
  std::size_t size = 0;
};
Chunk full_chunk(std::uint64_t seed) {
  Random random(seed);
  Chunk chunk;
  ChunkWriter writer(chunk.memory, 1000);
  while (!writer.full()) {
    chunk.entries.push_back(draw_entry(random));
    writer.add(chunk.entries.back());
  }
  chunk.size = writer.finish(number, 3, 17, 5);
  return chunk;
}

TEST(TraceFormat, ReadsBackWhatWasWritten) {
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    const Chunk chunk = full_chunk(seed);
    ChunkHeader header;
    ASSERT_EQ(examine(Bytes(chunk.memory).first(chunk.size), number, header), Slot::chunk);
    EXPECT_EQ(header.shard, 3u);
    EXPECT_EQ(header.ordinal, 17u);
    EXPECT_EQ(header.dropped, 5u);
    EXPECT_EQ(header.entries, chunk.entries.size());
    std::vector<Entry> entries(1);
    ASSERT_TRUE(decode_entries(chunk.memory, header, entries));
    entries.erase(entries.begin());
    EXPECT_EQ(entries, chunk.entries) << seed;
  }
}

TEST(TraceFormat, IsCompact) {
  std::vector<std::byte> memory(chunk_bytes);
  const auto bytes_each = [&memory](auto lba_of) {
    ChunkWriter writer(memory, 0);
    for (std::uint64_t i = 0; i < 1000; ++i)
      writer.add({.completed_ns = 50'000 + i * 20'000, .latency_ns = 90'000, .lba = lba_of(i), .blocks = 8});
    return (writer.finish(number, 0, 0, 0) - chunk_header_bytes) / 1000.0;
  };
  Random random(1);
  EXPECT_LE(bytes_each([](std::uint64_t i) { return i * 8; }), 10);
  EXPECT_LE(bytes_each([&](std::uint64_t) { return random.below(std::uint64_t{1} << 31); }), 14);
}

TEST(TraceFormat, TheLargestEntryFits) {
  std::vector<std::byte> memory(chunk_bytes);
  ChunkWriter writer(memory, 0);
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  for (std::uint64_t i = 0; !writer.full(); ++i)
    writer.add({.completed_ns = i % 2 == 0 ? most / 2 : 0,
                .latency_ns = most,
                .lba = i % 2 == 0 ? most / 2 : 0,
                .blocks = most});
  EXPECT_LE(writer.finish(number, 0, 0, 0), chunk_bytes);
}

TEST(TraceFormat, EveryFlippedBitIsNoticed) {
  Random random(7);
  std::vector<std::byte> small(chunk_bytes);
  ChunkWriter writer(small, 0);
  for (int i = 0; i < 5; ++i) writer.add(draw_entry(random));
  small.resize(writer.finish(number, 1, 2, 3));
  for (std::size_t bit = 0; bit < small.size() * 8; ++bit) {
    small[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    ChunkHeader header;
    EXPECT_EQ(examine(small, number, header), Slot::damaged) << bit;
    small[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  }
  for (std::size_t size = 1; size < small.size(); ++size) {
    ChunkHeader header;
    EXPECT_EQ(examine(Bytes(small).first(size), number, header), Slot::damaged) << size;
  }
}

TEST(TraceFormat, AnotherTracesChunkIsNotTaken) {
  const Chunk chunk = full_chunk(1);
  ChunkHeader header;
  EXPECT_EQ(examine(chunk.memory, number + 1, header), Slot::damaged);
  EXPECT_EQ(examine({}, number, header), Slot::nothing);
  EXPECT_EQ(examine(std::vector<std::byte>(chunk_bytes), number, header), Slot::nothing);
}

TEST(TraceFormat, EntriesThatDoNotDecodeAreCorruption) {
  Chunk chunk = full_chunk(1);
  ChunkHeader header;
  ASSERT_EQ(examine(chunk.memory, number, header), Slot::chunk);
  std::vector<Entry> entries;
  const auto expect_corrupt = [&](ChunkHeader wrong) {
    const Result<> result = decode_entries(chunk.memory, wrong, entries);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::corrupt);
    EXPECT_TRUE(entries.empty());
  };
  ChunkHeader wrong = header;
  ++wrong.entries;
  expect_corrupt(wrong);
  wrong = header;
  --wrong.entries;
  expect_corrupt(wrong);
  chunk.memory[chunk_header_bytes] = std::byte{7};  // an operation that there is not
  expect_corrupt(header);
}

TEST(TraceFormat, Headers) {
  std::vector<std::byte> bytes(header_bytes);
  const Header header{
      .number = number, .began_ms = 12, .block_bytes = 4096, .blocks = 99, .spec = "ram:1GiB"};
  encode(header, bytes);
  const auto read = decode_header(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->number, header.number);
  EXPECT_EQ(read->began_ms, header.began_ms);
  EXPECT_EQ(read->block_bytes, header.block_bytes);
  EXPECT_EQ(read->blocks, header.blocks);
  EXPECT_EQ(read->spec, header.spec);
  EXPECT_EQ(decode_header(Bytes(bytes).first(100)).error().code, Errc::corrupt);
  bytes[20] ^= std::byte{1};
  EXPECT_EQ(decode_header(bytes).error().code, Errc::corrupt);
  bytes[20] ^= std::byte{1};
  bytes[8] = std::byte{2};
  store_le(bytes.data(), crc32c(Bytes(bytes).subspan(4)));
  EXPECT_EQ(decode_header(bytes).error().code, Errc::unsupported);
  encode({.spec = std::string(100'000, 'x')}, bytes);
  EXPECT_EQ(decode_header(bytes)->spec.size(), spec_bytes_max);
}

}  // namespace
}  // namespace ashlar::trace

#include "ashlar/blob/device/space.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ashlar/base/random.h"

namespace ashlar::blob {
namespace {

constexpr std::uint64_t chunks = 32, reserved = 4;

Superblock layout() {
  Superblock block;
  block.chunk_bytes = 4u << 20;
  return block;
}

TEST(Space, ABlobThatGrowsStaysInOnePiece) {
  const Superblock block = layout();
  Space space(block);
  for (std::uint64_t chunk = 0; chunk < 2; ++chunk) space.add_chunk(chunk);
  const Extents hole = space.allocate(3), wall = space.allocate(1);
  space.free(hole);
  const Extents begin = space.allocate(10);
  ASSERT_EQ(begin.size(), 1u);
  EXPECT_EQ(space.allocate(3), hole) << "the hole that fits";
  const std::uint64_t behind = begin[0].first + begin[0].units;
  EXPECT_EQ(space.allocate(5, behind), (Extents{{behind, 5}}));
  EXPECT_TRUE(space.allocate(2 * block.units_per_chunk()).empty());
}

TEST(Space, GivesBackOnlyChunksWithoutAUsedUnit) {
  const Superblock block = layout();
  Space space(block);
  space.add_chunk(7, reserved);
  space.add_chunk(8);
  const Extents one = space.allocate(block.units_per_chunk());
  EXPECT_FALSE(space.take_out_empty_chunk());
  space.free(one);
  EXPECT_EQ(space.take_out_empty_chunk(), 8u);
  EXPECT_FALSE(space.take_out_empty_chunk()) << "the head stays";
  EXPECT_FALSE(space.has_chunk(8));
}

TEST(Space, RefusesWhatIsInUseOrOfNobody) {
  const Superblock block = layout();
  Space space(block);
  space.add_chunk(0, reserved);
  space.add_chunk(1);
  const std::uint64_t per_chunk = block.units_per_chunk();
  EXPECT_TRUE(space.occupy({{per_chunk - 2, 4}})) << "across two chunks";
  EXPECT_FALSE(space.occupy({{per_chunk + 1, 1}}));
  EXPECT_FALSE(space.occupy({{0, 1}})) << "reserved";
  EXPECT_FALSE(space.occupy({{2 * per_chunk, 1}}));
  EXPECT_EQ(space.free_units(), 2 * per_chunk - reserved - 4);
}

/// Blobs of many sizes come and go for long, as tables do, at four fifths of the space. Against a map of all
/// units: nothing is handed out twice or lost; and blobs stay in few pieces.
TEST(Space, StaysInFewPiecesHoweverLongItIsUsed) {
  const Superblock block = layout();
  Space space(block);
  for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) space.add_chunk(chunk, chunk == 0 ? reserved : 0);
  const std::uint64_t total = space.free_units();
  std::vector<bool> used(chunks * block.units_per_chunk(), false);
  std::fill_n(used.begin(), reserved, true);
  const auto mark = [&](const Extents& extents, bool as) {
    for (const Extent& extent : extents) {
      for (std::uint64_t unit = extent.first; unit < extent.first + extent.units; ++unit) {
        ASSERT_NE(used[unit], as) << unit;
        used[unit] = as;
      }
    }
  };
  Random random(7);
  std::vector<Extents> blobs;
  std::uint64_t extents = 0, allocations = 0;
  for (int round = 0; round < 20'000; ++round) {
    const std::uint64_t units = random.one_in(3) ? random.between(1, 4) : random.between(16, 48);
    while (space.free_units() < total / 5 + units) {
      const std::size_t which = random.below(blobs.size());
      mark(blobs[which], false);
      space.free(blobs[which]);
      std::swap(blobs[which], blobs.back());
      blobs.pop_back();
    }
    blobs.push_back(space.allocate(units));
    ASSERT_EQ(units_of(blobs.back()), units);
    mark(blobs.back(), true);
    extents += blobs.back().size();
    ++allocations;
  }
  EXPECT_LT(extents, allocations * 3 / 2) << "extents of a blob";
  ASSERT_EQ(static_cast<std::uint64_t>(std::ranges::count(used, false)), space.free_units());
  for (const Extents& blob : blobs) space.free(blob);
  EXPECT_EQ(space.free_units(), total);
  EXPECT_EQ(space.free_runs(), chunks);
}

}  // namespace
}  // namespace ashlar::blob

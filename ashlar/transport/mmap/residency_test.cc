#include "ashlar/transport/mmap/residency.h"

#include <gtest/gtest.h>

#include <set>

namespace ashlar {
namespace {

constexpr std::uint64_t page = 4096, chunk = Residency::chunk_bytes;

/// A mapping of ten chunks and a page, of which some pages are not there.
struct Asked {
  Residency residency;
  std::set<std::uint64_t> missing;
  unsigned asked = 0;
  Instant now{std::chrono::seconds(5)};

  bool holds(std::uint64_t begin, std::uint64_t end, const void* mapping = nullptr) {
    return residency.holds(mapping != nullptr ? mapping : this, 0, 10 * chunk + page, begin, end, now,
                           [&](std::uint64_t from, std::uint64_t to) {
                             ++asked;
                             EXPECT_LE(to, 10 * chunk + page);
                             const auto found = missing.lower_bound(from);
                             return found == missing.end() || *found >= to;
                           });
  }
};

TEST(Residency, AsksOncePerChunkForAWhile) {
  Asked file;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(file.holds(page * (i % 8), page * (i % 8 + 1)));
  EXPECT_EQ(file.asked, 1u);
  EXPECT_TRUE(file.holds(chunk - page, chunk + page)) << "over the edge of two";
  EXPECT_EQ(file.asked, 2u);
  EXPECT_TRUE(file.holds(10 * chunk, 10 * chunk + page)) << "the last one is short";
  EXPECT_EQ(file.asked, 3u);
  file.now += Residency::remembered_for;
  EXPECT_TRUE(file.holds(0, page));
  EXPECT_EQ(file.asked, 4u) << "memory does not last";
}

TEST(Residency, APartOfAChunkIsAskedForEachTime) {
  Asked file;
  file.missing = {3 * page};
  EXPECT_TRUE(file.holds(0, page));
  EXPECT_FALSE(file.holds(2 * page, 4 * page));
  EXPECT_TRUE(file.holds(4 * page, 8 * page));
  EXPECT_EQ(file.asked, 4u) << "the chunk once, then each part";
  file.missing.clear();
  EXPECT_TRUE(file.holds(2 * page, 4 * page));
}

TEST(Residency, AnotherMappingOfTheSamePlaceIsAsked) {
  Asked file;
  const int other = 0;
  EXPECT_TRUE(file.holds(0, page));
  file.missing = {0};
  EXPECT_TRUE(file.holds(0, page)) << "remembered";
  EXPECT_FALSE(file.holds(0, page, &other));
}

}  // namespace
}  // namespace ashlar

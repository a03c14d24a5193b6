#include "ashlar/kv/lsm/table/index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>

namespace ashlar::lsm {
namespace {

std::string separator(std::string_view last, std::string_view next) {
  std::vector<std::byte> to;
  append_separator(as_bytes(last), as_bytes(next), to);
  return std::string(as_text(to));
}

TEST(Index, SeparatorsAreShortAndBetween) {
  EXPECT_EQ(separator("abcdef", "abzzzz"), "abd");
  EXPECT_EQ(separator("abcdef", "abdzzz"), "abd");
  EXPECT_EQ(separator("abcdef", "abd"), "abce");
  EXPECT_EQ(separator("abc\xff\xff", "abd"), "abc\xff\xff");
  EXPECT_EQ(separator("abc", "abcd"), "abc");
  EXPECT_EQ(separator("abc", "abc"), "abc");
  EXPECT_EQ(separator("a", "b"), "a");
}

struct Built {
  std::vector<std::byte> payload;
  std::vector<std::string> lasts;
};

/// Blocks of two keys each out of `keys`.
Built build(const std::vector<std::string>& keys) {
  IndexBuilder builder;
  Built built;
  std::uint64_t offset = 0;
  for (std::size_t i = 1; i < keys.size(); i += 2, offset += 2 * page_bytes) {
    built.lasts.push_back(keys[i]);
    if (i + 1 < keys.size())
      builder.add(as_bytes(keys[i]), as_bytes(keys[i + 1]), offset);
    else
      builder.add_last(as_bytes(keys[i]), offset);
  }
  built.payload.resize(builder.payload_bytes());
  builder.finish(built.payload.data(), offset);
  return built;
}

TEST(Index, FindsTheBlockOfEveryKey) {
  std::mt19937_64 random(4711);
  for (int round = 0; round < 300; ++round) {
    const std::string common(random() % 12, 'c');
    const unsigned letters = 1 + static_cast<unsigned>(random() % 3),
                   length = 1 + static_cast<unsigned>(random() % 20);
    std::set<std::string> keys;
    for (int i = 0; i < 200; ++i) {
      std::string key = common;
      for (auto n = random() % length; n-- > 0;)
        key += static_cast<char>(random() % 8 == 0 ? 0xff : random() % letters);
      if (!key.empty()) keys.insert(key);
    }
    if (keys.size() % 2 != 0) keys.erase(keys.begin());
    if (keys.empty()) continue;
    const std::vector<std::string> sorted(keys.begin(), keys.end());
    const Built built = build(sorted);
    const auto index = Index::parse(built.payload, {0, built.lasts.size() * 2 * page_bytes}, {});
    ASSERT_TRUE(index.has_value());
    ASSERT_EQ(index->count(), built.lasts.size());
    for (std::size_t i = 0; i < sorted.size(); ++i) ASSERT_EQ(index->find(as_bytes(sorted[i])), i / 2);
    EXPECT_EQ(index->find(as_bytes(sorted.back() + "x")), index->count());
    EXPECT_EQ(index->find({}), 0u);
    EXPECT_EQ(index->block(index->count() - 1).offset, (built.lasts.size() - 1) * 2 * page_bytes);
    EXPECT_EQ(index->block(0).bytes, 2 * page_bytes);
  }
}

TEST(Index, FindsTheFirstOfBlocksThatEndWithOneKey) {
  IndexBuilder builder;
  builder.add(as_bytes("a"), as_bytes("k"), 0);
  for (unsigned i = 1; i < 6; ++i) builder.add(as_bytes("k"), as_bytes("k"), i * page_bytes);
  builder.add_last(as_bytes("z"), 6 * page_bytes);
  std::vector<std::byte> payload(builder.payload_bytes());
  builder.finish(payload.data(), 7 * page_bytes);
  const auto index = Index::parse(payload, {0, 7 * page_bytes}, {});
  ASSERT_TRUE(index.has_value());
  EXPECT_EQ(index->find(as_bytes("k")), 1u);
  EXPECT_EQ(index->find(as_bytes("k0")), 6u);
}

TEST(Index, RefusesDamage) {
  const Built built = build({"a1", "a2", "b1", "b2", "b3", "c"});
  const std::uint64_t meta = 6 * page_bytes;
  ASSERT_TRUE(Index::parse(built.payload, {0, meta}, {}).has_value());
  EXPECT_FALSE(Index::parse(built.payload, {0, meta + page_bytes}, {}).has_value());
  for (std::size_t at = 0; at < built.payload.size(); ++at) {
    EXPECT_FALSE(Index::parse(Bytes(built.payload).first(at), {0, meta}, {}).has_value());
    auto bad = built.payload;
    bad[at] ^= std::byte{0x10};
    if (const auto index = Index::parse(bad, {0, meta}, {})) index->find(as_bytes("b2"));
  }
}

}  // namespace
}  // namespace ashlar::lsm

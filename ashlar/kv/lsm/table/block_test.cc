#include "ashlar/kv/lsm/table/block.h"

#include <gtest/gtest.h>

#include <string>

#include "ashlar/kv/lsm/table/block_builder.h"

namespace ashlar::lsm {
namespace {

using State = BlockLookup::State;

struct Sample {
  std::string key;
  std::uint64_t sequence;
  std::string value;
  Kind kind = Kind::put;
  std::uint64_t expiry_ms = no_expiry;

  Entry entry() const { return {as_bytes(key), Sequence{sequence}, kind, expiry_ms, as_bytes(value)}; }
};

std::vector<std::byte> build(const std::vector<Sample>& samples, std::uint8_t restart_shift = 4,
                             bool continues = false) {
  BlockBuilder builder(block_bytes_max, restart_shift);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const bool first = i == 0 || samples[i].key != samples[i - 1].key;
    EXPECT_TRUE(builder.add(samples[i].entry(), key_hash(as_bytes(samples[i].key)), first));
  }
  std::vector<std::byte> payload(builder.payload_bytes());
  builder.finish(payload.data(), continues);
  EXPECT_TRUE(builder.empty());
  return payload;
}

Block parse(const std::vector<std::byte>& payload) {
  const auto block = Block::parse(payload, {7, 4096});
  EXPECT_TRUE(block.has_value());
  EXPECT_TRUE(block->verify({7, 4096}).has_value());
  return *block;
}

BlockLookup find(const Block& block, std::string_view key, std::uint64_t snapshot = ~0ull) {
  return block.find(as_bytes(key), key_hash(as_bytes(key)), Sequence{snapshot});
}

TEST(Block, FindsEachKeyAndNoOther) {
  std::vector<Sample> samples;
  for (int i = 0; i < 500; ++i)
    samples.push_back({"key-" + std::to_string(1000 + 2 * i), 77, "v" + std::to_string(i)});
  for (std::uint8_t shift : {0, 1, 4, 7}) {
    const auto payload = build(samples, shift);
    const Block block = parse(payload);
    for (int i = 0; i < 500; ++i) {
      const auto found = find(block, samples[static_cast<std::size_t>(i)].key);
      ASSERT_EQ(found.state, State::found);
      EXPECT_EQ(as_text(found.entry.value), "v" + std::to_string(i));
      EXPECT_EQ(found.entry.sequence.value, 77u);
      EXPECT_EQ(find(block, "key-" + std::to_string(1001 + 2 * i)).state, State::absent);
    }
  }
}

TEST(Block, ReadsTheNewestVersionAtASnapshot) {
  const auto payload = build(
      {{"k-a", 5, "a5"}, {"k-b", 9, "", Kind::erase}, {"k-b", 4, "b4", Kind::put, 123}, {"k-b", 2, "b2"}}, 4,
      true);
  const Block block = parse(payload);
  EXPECT_EQ(find(block, "k-b").entry.kind, Kind::erase);
  EXPECT_EQ(find(block, "k-b", 8).entry.sequence.value, 4u);
  EXPECT_EQ(find(block, "k-b", 8).entry.expiry_ms, 123u);
  EXPECT_EQ(as_text(find(block, "k-b", 2).entry.value), "b2");
  EXPECT_EQ(find(block, "k-b", 1).state, State::next_block);
  EXPECT_EQ(find(block, "k-a", 4).state, State::absent);
}

TEST(Block, StoresSequencesAsNarrowAsTheirRange) {
  const std::uint64_t base = 0x0123'4567'89ab'cdef;
  for (std::uint64_t range : {0ull, 1ull, 255ull, 256ull, 1ull << 31, 1ull << 40, ~0ull - base}) {
    const auto payload = build({{"k-a", base, "1"}, {"k-b", base + range, "2"}});
    EXPECT_EQ(static_cast<unsigned>(payload[21]), (static_cast<unsigned>(std::bit_width(range)) + 7) / 8);
    const Block block = parse(payload);
    EXPECT_EQ(find(block, "k-a").entry.sequence.value, base);
    EXPECT_EQ(find(block, "k-b").entry.sequence.value, base + range);
  }
}

TEST(Block, HoldsOneEntryOfAnySize) {
  const auto payload =
      build({{std::string(kv::stored_key_bytes_max, 'k'), 1, std::string(3 << 20, 'v'), Kind::put, ~0ull}});
  const Block block = parse(payload);
  const auto found = find(block, std::string(kv::stored_key_bytes_max, 'k'));
  ASSERT_EQ(found.state, State::found);
  EXPECT_EQ(found.entry.value.size(), 3u << 20);
  EXPECT_EQ(found.entry.expiry_ms, ~0ull);
}

TEST(Block, BuilderKeepsWithinItsSize) {
  for (std::uint32_t block_bytes : {4096u, 16384u, 65536u, 1u << 20}) {
    BlockBuilder builder(block_bytes, 4);
    std::vector<std::byte> bytes;
    for (int i = 0;; ++i) {
      const std::string key = "key-" + std::to_string(100000000 + i),
                        value(static_cast<std::size_t>(i % 150), 'x');
      if (!builder.add({as_bytes(key), Sequence{1000u + static_cast<unsigned>(i)}, Kind::put, no_expiry,
                        as_bytes(value)},
                       key_hash(as_bytes(key)), true)) {
        break;
      }
    }
    const std::size_t payload = builder.payload_bytes();
    EXPECT_LE(frame_header_bytes + payload, block_bytes);
    EXPECT_GT(frame_header_bytes + payload, block_bytes - 256);
    bytes.resize(payload);
    builder.finish(bytes.data(), false);
    EXPECT_TRUE(Block::parse(bytes, {})->verify({}).has_value());
  }
}

TEST(Block, LowerBoundAgreesWithTheOrder) {
  const auto payload =
      build({{"kaa", 5, ""}, {"kab", 9, ""}, {"kab", 4, ""}, {"kabc", 2, ""}, {"kb1", 7, ""}}, 1);
  const Block block = parse(payload);
  const auto at = [&](std::string_view key, std::uint64_t sequence) {
    return block.lower_bound(as_bytes(key), Sequence{sequence});
  };
  EXPECT_EQ(at("", 0), 0u);
  EXPECT_EQ(at("kaa", ~0ull), 0u);
  EXPECT_EQ(at("kaa", 4), 1u);
  EXPECT_EQ(at("kab", 9), 1u);
  EXPECT_EQ(at("kab", 8), 2u);
  EXPECT_EQ(at("kab", 3), 3u);
  EXPECT_EQ(at("kabb", 3), 3u);
  EXPECT_EQ(at("kb1", 6), 5u);
}

/// The rest of the engine takes a key's type and slot without looking at its length.
TEST(Block, AKeyWithoutTypeAndSlotIsCorrupt) {
  for (const std::string key : {"", "k", "k1"}) {
    const auto block = Block::parse(build({{key, 5, "value"}}), {7, 4096});
    ASSERT_FALSE(block.has_value()) << key;
    EXPECT_EQ(block.error().code, Errc::corrupt);
    EXPECT_EQ(block.error().object, 7u);
    EXPECT_EQ(block.error().offset, 4096u);
  }
}

TEST(Block, EveryDamageIsCorruptOrHarmless) {
  std::vector<Sample> samples;
  for (int i = 0; i < 40; ++i)
    samples.push_back(
        {"key-" + std::to_string(100 + i), 50u + static_cast<unsigned>(i) * 700, std::string(200, 'v')});
  const auto good = build(samples, 2);
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (unsigned flip : {0x01u, 0x80u, 0xffu}) {
      std::vector<std::byte> bad = good;
      bad[at] ^= static_cast<std::byte>(flip);
      const auto block = Block::parse(bad, {7, 4096});
      if (!block) {
        EXPECT_EQ(block.error().code, Errc::corrupt);
        EXPECT_EQ(block.error().object, 7u);
        EXPECT_EQ(block.error().offset, 4096u);
        continue;
      }
      KeyBuffer buffer;
      for (std::uint32_t i = 0; i < block->count(); ++i) block->entry(i, buffer);  // in bounds: ASan watches
      for (const Sample& sample : samples) find(*block, sample.key, 1);
    }
    std::vector<std::byte> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_FALSE(Block::parse(cut, {}).has_value());
  }
}

}  // namespace
}  // namespace ashlar::lsm

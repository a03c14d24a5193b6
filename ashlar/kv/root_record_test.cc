#include "ashlar/kv/root_record.h"

#include <gtest/gtest.h>

namespace ashlar::kv {
namespace {

TEST(RootRecord, KeepsThePartitionerOfEitherScheme) {
  RootRecord record{
      .directory_id = 42, .created_ms = 1000, .engine = "lsm", .partitioner = Partitioner::hashed(16)};
  const auto decoded = RootRecord::decode(record.encode());
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(decoded->directory_id, 42u);
  EXPECT_EQ(decoded->engine, "lsm");
  EXPECT_EQ(decoded->partitioner.slot_map(), record.partitioner.slot_map());

  record.partitioner = *Partitioner::ranged({"g", "p"});
  const auto ranged = RootRecord::decode(record.encode());
  ASSERT_TRUE(ranged);
  EXPECT_EQ(ranged->partitioner.partitions(), 3u);
  EXPECT_EQ(ranged->partitioner.boundaries(), record.partitioner.boundaries());
}

TEST(RootRecord, KeepsMergeOperatorAndColumnFamilies) {
  RootRecord record{.directory_id = 7};
  const auto plain = record.encode();
  record.merge_operator = "append:,";
  record.families.push_back(
      {.family = {.name = "users", .number = 0, .options = {.merge_operator = "add64", .ttl_ms = 1000}}});
  record.families.push_back({.family = {.name = "users", .number = 127, .options = {}}, .dropped = true});
  const auto decoded = RootRecord::decode(record.encode());
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->encode(), record.encode());
  EXPECT_EQ(decoded->merge_operator, "append:,");
  ASSERT_EQ(decoded->families.size(), 2u);
  EXPECT_EQ(decoded->families[0].family.options.ttl_ms, 1000u);
  EXPECT_TRUE(decoded->families[1].dropped);
  EXPECT_GT(record.encode().size(), plain.size());
  record.families[1].dropped = false;  // two live ones of one name
  EXPECT_EQ(RootRecord::decode(record.encode()).error().code, Errc::corrupt);
}

TEST(RootRecord, EveryFlippedBitIsFound) {
  const auto bytes = RootRecord{.directory_id = 7, .partitioner = Partitioner::hashed(3)}.encode();
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    const auto decoded = RootRecord::decode(damaged);
    ASSERT_FALSE(decoded);
    ASSERT_EQ(decoded.error().code, Errc::corrupt);
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(RootRecord::decode(Bytes(bytes).first(size)));
  }
}

TEST(Partitioner, EveryKeyHasOnePartition) {
  const Partitioner hashed = Partitioner::hashed(5);
  const StoredKey a = hashed.stored(as_bytes("{tag}a")), b = hashed.stored(as_bytes("{tag}b"));
  EXPECT_EQ(hashed.partition_of(a), hashed.partition_of(b));
  const Partitioner ranged = *Partitioner::ranged({"g", "p"});
  EXPECT_EQ(ranged.partition_of(ranged.stored(as_bytes("a"))).value, 0);
  EXPECT_EQ(ranged.partition_of(ranged.stored(as_bytes("g"))).value, 1);
  EXPECT_EQ(ranged.partition_of(ranged.stored(as_bytes("z"))).value, 2);
  EXPECT_FALSE(Partitioner::ranged({"p", "g"}));
  EXPECT_FALSE(Partitioner::hashed(2, std::vector<PartitionId>(slot_count, PartitionId{2})));
}

}  // namespace
}  // namespace ashlar::kv

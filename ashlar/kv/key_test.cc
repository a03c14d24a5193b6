#include "ashlar/kv/key.h"

#include <gtest/gtest.h>

#include <string>

#include "ashlar/kv/lsm/key.h"

namespace ashlar::kv {
namespace {

TEST(Slot, IsThatOfRedisCluster) {
  EXPECT_EQ(crc16("123456789"), 0x31c3);
  EXPECT_EQ(slot_of("foo").value, 12182);
  EXPECT_EQ(slot_of("{user1000}.following"), slot_of("{user1000}.followers"));
  EXPECT_EQ(hash_tag("foo{}{bar}"), "foo{}{bar}");
  EXPECT_EQ(hash_tag("foo{{bar}}zap"), "{bar");
  EXPECT_EQ(hash_tag("foo{bar}{zap}"), "bar");
  EXPECT_EQ(hash_tag("foo{bar"), "foo{bar");
}

TEST(StoredKey, HoldsTypeSlotAndUserKeyAtEveryLength) {
  for (const std::size_t size : {0u, 1u, 124u, 125u, 126u, 1000u, 65532u}) {
    const std::string user(size, 'k');
    StoredKey key{std::string_view(user)};
    EXPECT_EQ(as_text(key.user_key()), user);
    EXPECT_EQ(slot_of_stored(key.bytes()), slot_of(user));
    EXPECT_EQ(key.hash(), key_hash(key.bytes()));
    const StoredKey copy = key;
    const StoredKey moved = std::move(key);
    EXPECT_TRUE(equal(copy.bytes(), moved.bytes()));
    EXPECT_TRUE(equal(StoredKey::from_stored(copy.bytes()).bytes(), copy.bytes()));
  }
}

TEST(SequenceClock, NeverRepeatsAndFollowsTheWallClock) {
  SequenceClock clock;
  const Sequence first = clock.next(1000);
  EXPECT_EQ(milliseconds_of(first), 1000u);
  EXPECT_GT(clock.next(1000), first);
  const Sequence later = clock.next(2000);
  EXPECT_EQ(milliseconds_of(later), 2000u);
  EXPECT_GT(clock.next(500), later);  // the wall clock went back

  SequenceClock restarted;
  restarted.observe(clock.last());
  EXPECT_GT(restarted.next(500), clock.last());
}

TEST(Entry, ExpiredIsAbsentAndNewestComesFirst) {
  EXPECT_TRUE(lsm::is_absent(lsm::Kind::erase, lsm::no_expiry, 0));
  EXPECT_FALSE(lsm::is_absent(lsm::Kind::put, lsm::no_expiry, ~0ull));
  EXPECT_FALSE(lsm::is_absent(lsm::Kind::put, 10, 9));
  EXPECT_TRUE(lsm::is_absent(lsm::Kind::put, 10, 10));
  const Bytes a = as_bytes("a");
  EXPECT_LT(lsm::compare_versions(a, Sequence{2}, a, Sequence{1}), 0);
  EXPECT_LT(lsm::compare_versions(a, Sequence{1}, as_bytes("ab"), Sequence{2}), 0);
}

}  // namespace
}  // namespace ashlar::kv

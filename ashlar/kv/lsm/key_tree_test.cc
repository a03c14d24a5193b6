#include "ashlar/kv/lsm/key_tree.h"

#include <gtest/gtest.h>

#include <cstring>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/kv/lsm/memtable.h"
#include "ashlar/kv/lsm/test_seed.h"

namespace ashlar::lsm {
namespace {

class KeyTreeTest : public ::testing::Test {
 protected:
  /// In batches of `batch` keys, each once.
  void insert(const std::vector<std::string>& keys, std::size_t batch = KeyTree::batch_max) {
    std::vector<MemtableKey*> made;
    for (const std::string& key : keys) {
      if (!model_.insert(key).second) continue;
      made.push_back(make(key));
      if (made.size() < batch) continue;
      tree_.insert(made);
      made.clear();
    }
    tree_.insert(made);
  }

  void expect_like_the_model() {
    auto place = tree_.first();
    for (const std::string& key : model_) {
      ASSERT_NE(place.key(), nullptr);
      ASSERT_EQ(as_text(place.key()->key()), key);
      place = KeyTree::next(place);
    }
    EXPECT_EQ(place.key(), nullptr);
    place = tree_.last();
    for (auto key = model_.rbegin(); key != model_.rend(); ++key, place = KeyTree::previous(place)) {
      ASSERT_NE(place.key(), nullptr);
      ASSERT_EQ(as_text(place.key()->key()), *key);
    }
    EXPECT_EQ(place.key(), nullptr);
  }

  void expect_found(const std::string& key) {
    const auto at = model_.lower_bound(key);
    const auto after = tree_.at_or_after(as_bytes(key));
    ASSERT_EQ(after.key() == nullptr, at == model_.end()) << key;
    if (at != model_.end()) ASSERT_EQ(as_text(after.key()->key()), *at);
    const auto before = tree_.before(as_bytes(key));
    ASSERT_EQ(before.key() == nullptr, at == model_.begin()) << key;
    if (at != model_.begin()) ASSERT_EQ(as_text(before.key()->key()), *std::prev(at));
  }

  ChunkPool pool_{64};
  Arena arena_{pool_};
  KeyTree tree_{arena_};
  std::set<std::string> model_;

 private:
  MemtableKey* make(const std::string& key) {
    std::byte* memory = arena_.allocate(sizeof(MemtableKey) + key.size());
    auto* made = new (memory) MemtableKey{.hash = 0,
                                          .hash_next = nullptr,
                                          .newest = nullptr,
                                          .key_bytes = static_cast<std::uint16_t>(key.size())};
    std::memcpy(made + 1, key.data(), key.size());
    return made;
  }
};

TEST_F(KeyTreeTest, EmptyHasNoPlaces) {
  EXPECT_EQ(tree_.first().key(), nullptr);
  EXPECT_EQ(tree_.last().key(), nullptr);
  expect_found("");
  expect_found("x");
}

TEST_F(KeyTreeTest, LikeASetUnderKeysOfEveryKind) {
  Random random(test_seed());
  for (int round = 0; round < 30; ++round) {
    tree_.~KeyTree();
    new (&tree_) KeyTree(arena_);
    model_.clear();
    const std::string start(random.below(40), 'p');
    const std::uint64_t range = random.between(1, 5000);
    std::vector<std::string> keys;
    for (int i = 0; i < 3000; ++i) {
      std::string key = start + std::to_string(random.below(range));
      if (random.one_in(50)) key.resize(random.below(key.size() + 1));   // a start of others
      if (random.one_in(50)) key += std::string(random.below(4), '\0');  // zeroes, which heads end in
      if (random.one_in(200)) key.insert(random.below(key.size() + 1), 1, '\xff');  // begins otherwise
      keys.push_back(key);
    }
    insert(keys, random.between(1, KeyTree::batch_max));
    expect_like_the_model();
    for (int probe = 0; probe < 300; ++probe) {
      std::string key =
          random.one_in(2) ? keys[random.below(keys.size())] : start + std::to_string(random.below(range));
      if (random.one_in(5)) key.resize(random.below(key.size() + 1));
      if (random.one_in(5)) key.push_back(static_cast<char>(random.next()));
      if (random.one_in(20)) key = "\xff" + key;
      expect_found(key);
    }
  }
}

TEST_F(KeyTreeTest, KeysInOrderFillTheirNodes) {
  std::vector<std::string> keys;
  for (int i = 0; i < 20'000; ++i) keys.push_back("key-" + std::to_string(100'000 + i));
  const std::size_t before = arena_.bytes_used();
  insert(keys);
  expect_like_the_model();
  const std::size_t of_keys = keys.size() * (sizeof(MemtableKey) + 16);
  EXPECT_LT(arena_.bytes_used() - before - of_keys, keys.size() * 32);  // 24 for each, and the inner nodes
}

TEST_F(KeyTreeTest, KeysAgainstTheOrder) {
  std::vector<std::string> keys;
  for (int i = 0; i < 5'000; ++i) keys.push_back("key-" + std::to_string(100'000 - i));
  insert(keys, 7);
  expect_like_the_model();
}

/// The first batch has more in common than those that follow, again and again.
TEST_F(KeyTreeTest, LessAndLessInCommon) {
  for (std::size_t length = 300; length > 0; --length) insert({std::string(length, 'a') + "b"}, 1);
  expect_like_the_model();
  for (std::size_t length = 0; length < 310; ++length) expect_found(std::string(length, 'a'));
}

}  // namespace
}  // namespace ashlar::lsm

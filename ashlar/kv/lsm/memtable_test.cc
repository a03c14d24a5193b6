#include "ashlar/kv/lsm/memtable.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/kv/lsm/test_seed.h"

namespace ashlar::lsm {
namespace {

struct Version {
  std::string key;
  std::uint64_t sequence;
  bool operator<(const Version& other) const {
    return compare_versions(as_bytes(key), Sequence{sequence}, as_bytes(other.key),
                            Sequence{other.sequence}) < 0;
  }
};
using Model = std::map<Version, std::string>;

std::string stored(std::string_view user) {
  return std::string(as_text(StoredKey(user).bytes()));
}

void put(Memtable& table, Model& model, const std::string& key, std::uint64_t sequence,
         const std::string& value) {
  table.insert({.key = as_bytes(key), .sequence = Sequence{sequence}, .value = as_bytes(value)},
               key_hash(as_bytes(key)));
  model[{key, sequence}] = value;
}

TEST(Memtable, AnswersLikeASortedMapInBothDirections) {
  Random random(test_seed());
  for (int round = 0; round < 20; ++round) {
    ChunkPool pool(1 << 20);
    Memtable table(pool, 1 << 16);
    Model model;
    const std::uint64_t keys = random.between(1, 300);
    for (std::uint64_t sequence = 1; sequence < 500; ++sequence) {
      std::string key = stored("k" + std::to_string(random.below(keys)));
      if (random.one_in(4))
        key = std::string("\x80\0\0", 3) + std::to_string(random.below(keys));  // one list
      put(table, model, key, sequence, std::string(random.below(50), 'v') + std::to_string(sequence));
    }
    Memtable::Iterator at(table);
    at.seek_first();
    for (const auto& [version, value] : model) {
      ASSERT_TRUE(at.valid());
      ASSERT_EQ(as_text(at.entry().key), version.key);
      ASSERT_EQ(at.entry().sequence.value, version.sequence);
      ASSERT_EQ(as_text(at.entry().value), value);
      at.next();
    }
    ASSERT_FALSE(at.valid());
    at.seek_last();
    for (auto expected = model.rbegin(); expected != model.rend(); ++expected, at.previous()) {
      ASSERT_TRUE(at.valid());
      ASSERT_EQ(as_text(at.entry().key), expected->first.key);
      ASSERT_EQ(at.entry().sequence.value, expected->first.sequence);
    }
    ASSERT_FALSE(at.valid());
    for (int probe = 0; probe < 200; ++probe) {
      std::string key = stored("k" + std::to_string(random.below(keys + 10)));
      if (random.one_in(8)) key.resize(random.below(key.size()));
      const std::uint64_t sequence = random.below(520);
      const auto expected = model.lower_bound({key, sequence});
      at.seek(as_bytes(key), Sequence{sequence});
      ASSERT_EQ(at.valid(), expected != model.end());
      if (at.valid()) {
        ASSERT_EQ(at.entry().sequence.value, expected->first.sequence);
      }
      const bool found = expected != model.end() && expected->first.key == key;
      const MemtableNode* node = table.find(as_bytes(key), key_hash(as_bytes(key)), Sequence{sequence});
      ASSERT_EQ(node != nullptr, found);
      if (found) {
        ASSERT_EQ(as_text(node->value()), expected->second);
      }
      auto before = model.lower_bound({key, ~0ull});
      at.seek_before(as_bytes(key));
      ASSERT_EQ(at.valid(), before != model.begin());
      if (at.valid()) {
        ASSERT_EQ(at.entry().sequence.value, std::prev(before)->first.sequence);
      }
    }
  }
}

TEST(Memtable, OfTwoWritesInOneBatchTheLaterCounts) {
  ChunkPool pool(0);
  Memtable table(pool, 1 << 16);
  const std::string key = stored("k");
  for (const char* value : {"old", "mid", "new"}) {
    table.insert({.key = as_bytes(key), .sequence = Sequence{7}, .value = as_bytes(value)},
                 key_hash(as_bytes(key)));
  }
  EXPECT_EQ(as_text(table.find(as_bytes(key), key_hash(as_bytes(key)))->value()), "new");
  Memtable::Iterator at(table);
  at.seek_first();
  EXPECT_EQ(as_text(at.entry().value), "new");
  at.seek_last();
  EXPECT_EQ(as_text(at.entry().value), "old");
  at.previous();
  at.previous();
  EXPECT_EQ(as_text(at.entry().value), "new");
  at.previous();
  EXPECT_FALSE(at.valid());
}

TEST(Memtable, ReadersOnOtherThreadsSeeCompleteEntries) {
  ChunkPool pool(0);
  Memtable table(pool, 1 << 20);
  constexpr int keys = 100, rounds = 200;
  std::vector<StoredKey> names;
  for (int key = 0; key < keys; ++key) names.emplace_back("key" + std::to_string(key));
  std::atomic<int> written{0};
  std::vector<std::jthread> readers;
  for (int reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&] {
      while (true) {
        const int least = written.load(std::memory_order_acquire);
        for (const StoredKey& name : names) {
          const MemtableNode* node = table.find(name.bytes(), name.hash());
          if (least > 0) {
            ASSERT_NE(node, nullptr);
            ASSERT_GE(std::stoi(std::string(as_text(node->value()))), least);
          }
        }
        Memtable::Iterator at(table);
        for (at.seek_first(); at.valid(); at.next()) ASSERT_FALSE(at.entry().value.empty());
        if (least == rounds) return;
      }
    });
  }
  std::uint64_t sequence = 0;
  for (int round = 1; round <= rounds; ++round) {
    const std::string value = std::to_string(round);
    for (const StoredKey& name : names) {
      table.insert({.key = name.bytes(), .sequence = Sequence{++sequence}, .value = as_bytes(value)},
                   name.hash());
    }
    written.store(round, std::memory_order_release);
  }
}

}  // namespace
}  // namespace ashlar::lsm

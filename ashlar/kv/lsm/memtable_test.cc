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

TEST(Memtable, TakesBuffersOverInsteadOfCopying) {
  MemoryCap cap{std::uint64_t{64} << 20};
  MemoryBudget budget{cap};
  Regions regions;
  BufferPool buffers{regions, budget};
  ChunkPool pool(1 << 20);
  {
    Memtable table(pool, 1 << 16);
    std::uint64_t sequence = 0;
    const auto insert = [&](const char* name, IoBuffer& buffer, std::size_t bytes) {
      const StoredKey key(name);
      const Bytes value = buffer.bytes().first(bytes);
      table.insert({.key = key.bytes(), .sequence = Sequence{++sequence}, .value = value}, key.hash(),
                   &buffer);
      const MemtableVersion* found = table.find(key.bytes(), key.hash());
      EXPECT_TRUE(equal(found->value(), value));
      return found->value().data() == value.data();
    };
    const auto filled = [&](std::size_t bytes, char with) {
      IoBuffer buffer = *buffers.allocate(bytes);
      std::memset(buffer.data(), with, bytes);
      return buffer;
    };
    IoBuffer small = filled(4096, 'a'), sparse = filled(64 << 10, 'b');
    EXPECT_FALSE(insert("small", small, 100));
    EXPECT_FALSE(insert("sparse", sparse, 8 << 10));
    EXPECT_TRUE(small && sparse) << "they stay their owner's";
    EXPECT_EQ(buffers.buffers_in_use(), 2u);

    const std::size_t before = table.bytes();
    IoBuffer full = filled(64 << 10, 'c'), again = filled(64 << 10, 'd');
    EXPECT_TRUE(insert("full", full, 60 << 10));
    EXPECT_TRUE(insert("full", again, 64 << 10));
    EXPECT_FALSE(full || again);
    EXPECT_GE(table.bytes(), before + (128 << 10));
    const StoredKey key("full");
    EXPECT_EQ(table.find(key.bytes(), key.hash(), Sequence{3})->value()[0], std::byte{'c'});
    EXPECT_EQ(table.find(key.bytes(), key.hash())->value()[0], std::byte{'d'});

    EpochDomain epochs;
    table.pin();  // as its version does
    table.reclaim(Sequence{10}, epochs);
    epochs.drain();
    EXPECT_EQ(table.find(key.bytes(), key.hash())->value()[0], std::byte{'d'});
    EXPECT_EQ(buffers.buffers_in_use(), 4u);
  }
  EXPECT_EQ(buffers.buffers_in_use(), 0u);
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
      const MemtableVersion* node = table.find(as_bytes(key), key_hash(as_bytes(key)), Sequence{sequence});
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
          const MemtableVersion* node = table.find(name.bytes(), name.hash());
          if (least > 0) {
            ASSERT_NE(node, nullptr);
            ASSERT_GE(std::stoi(std::string(as_text(node->value()))), least);
          }
        }
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

TEST(Memtable, WritesOverWhatNobodyAsksForAndKeepsTheRest) {
  Random random(test_seed());
  ChunkPool pool(0);
  EpochDomain epochs;
  auto* table = new Memtable(pool, 1 << 16);
  table->pin();
  Model model;                    // what must be there
  std::vector<Version> replaced;  // what may be gone once it is settled
  std::map<std::string, Version> newest;
  std::size_t bytes_when_warm = 0;
  std::uint64_t settled = 0;
  for (std::uint64_t sequence = 1; sequence <= 60'000; ++sequence) {
    const std::string key = stored("k" + std::to_string(random.below(50)));
    const std::string value = std::string(random.below(200), 'v') + std::to_string(sequence);
    if (const auto found = newest.find(key); found != newest.end()) replaced.push_back(found->second);
    newest[key] = {key, sequence};
    put(*table, model, key, sequence, value);
    if (!table->reclaim_due()) continue;
    epochs.reclaim();
    settled = std::max(settled, sequence - std::min<std::uint64_t>(sequence, random.below(300)));
    table->reclaim(Sequence{settled}, epochs);
    epochs.reclaim();
    if (sequence < 10'000) bytes_when_warm = table->bytes();
    // A reader as of what is settled, and any later one, finds what was newest then.
    for (const auto& [name, last] : newest) {
      for (std::uint64_t at : {settled, settled + random.below(100), sequence}) {
        const auto expected = model.lower_bound({name, at});
        const bool there = expected != model.end() && expected->first.key == name;
        const MemtableVersion* found = table->find(as_bytes(name), key_hash(as_bytes(name)), Sequence{at});
        ASSERT_EQ(found != nullptr, there);
        if (there) ASSERT_EQ(as_text(found->value()), expected->second);
      }
    }
    if (replaced.size() > 4096) {  // keeps the model small; these are settled long since
      for (std::size_t i = 0; i < 2048; ++i) model.erase(replaced[i]);
      replaced.erase(replaced.begin(), replaced.begin() + 2048);
    }
  }
  EXPECT_LT(table->bytes(), bytes_when_warm + (64u << 10)) << "overwriting takes no more memory";
  epochs.drain();
  table->unpin();
}

TEST(Memtable, ReadersInsideAnEpochNeverSeeMemoryThatIsWrittenOver) {
  ChunkPool pool(0);
  EpochDomain epochs;
  auto* table = new Memtable(pool, 1 << 16);
  table->pin();
  constexpr int keys = 20, rounds = 3000;
  std::vector<StoredKey> names;
  for (int key = 0; key < keys; ++key) names.emplace_back("key" + std::to_string(key));
  std::uint64_t sequence = 0;
  const auto write = [&](int key, int round) {
    const std::string value =
        std::to_string(key) + ":" + std::string(100, static_cast<char>('a' + round % 26));
    table->insert({.key = names[key].bytes(), .sequence = Sequence{++sequence}, .value = as_bytes(value)},
                  names[key].hash());
  };
  for (int key = 0; key < keys; ++key) write(key, 0);
  {
    std::atomic<bool> over{false};
    std::vector<std::jthread> readers;
    for (int reader = 0; reader < 2; ++reader) {
      readers.emplace_back([&] {
        while (!over.load(std::memory_order_relaxed)) {
          for (int key = 0; key < keys; ++key) {
            const epoch::Guard guard;
            const MemtableVersion* found = table->find(names[key].bytes(), names[key].hash());
            ASSERT_NE(found, nullptr);
            const std::string_view text = as_text(found->value());
            const std::string expected = std::to_string(key) + ":" + std::string(100, text.back());
            ASSERT_EQ(text, expected);
          }
        }
      });
    }
    for (int round = 1; round <= rounds; ++round) {
      for (int key = 0; key < keys; ++key) write(key, round);
      if (!table->reclaim_due()) continue;
      epochs.reclaim();
      table->reclaim(Sequence{sequence}, epochs);
      epochs.reclaim();
    }
    over.store(true, std::memory_order_relaxed);
  }
  epochs.drain();
  table->unpin();
}

}  // namespace
}  // namespace ashlar::lsm

#include "ashlar/kv/lsm/merge.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "ashlar/base/random.h"
#include "ashlar/kv/lsm/test_seed.h"

namespace ashlar::lsm {
namespace {

/// Keys that agree in their first 16 bytes, that are short, that end in zeroes, that sort last.
std::string random_key(Random& random) {
  std::string key("\x01\0\0", 3);
  switch (random.below(4)) {
    case 0: key += std::string(20, 'a') + std::to_string(random.below(50)); break;
    case 1: key += std::string(random.below(4), '\0'); break;
    case 2: key = std::string(random.between(3, 18), '\xff'); break;
    default: key += std::to_string(random.below(200));
  }
  return key;
}

class MergeTest : public ::testing::Test {
 protected:
  using Version = std::pair<std::string, std::uint64_t>;  // key, and the complement of its sequence

  struct Unpin {
    void operator()(Memtable* memtable) const noexcept { memtable->unpin(); }
  };

  void fill(Random& random, std::size_t sources, int entries) {
    for (std::size_t i = 0; i < sources; ++i) {
      memtables_.emplace_back(new Memtable(pool_, 1 << 16));
      memtables_.back()->pin();
    }
    for (int i = 0; i < entries; ++i) {
      const std::string key = random_key(random);
      const std::uint64_t sequence = ++sequence_;
      memtables_[random.skewed(0, sources - 1)]->insert(
          {.key = as_bytes(key), .sequence = Sequence{sequence}, .value = {}}, key_hash(as_bytes(key)));
      model_.emplace(Version{key, ~sequence}, 0);
    }
  }
  std::unique_ptr<Merge> merge(Direction direction) {
    auto merge = std::make_unique<Merge>(direction);
    for (const auto& memtable : memtables_) merge->add(*memtable);
    return merge;
  }
  template <class Iterator>
  static void expect_rest(Merge& merge, Iterator from, Iterator end) {
    for (; from != end; ++from) {
      ASSERT_EQ(merge.state(), SourceState::entry);
      ASSERT_EQ(as_text(merge.entry().key), from->first.first);
      ASSERT_EQ(merge.entry().sequence.value, ~from->first.second);
      merge.next();
    }
    ASSERT_EQ(merge.state(), SourceState::end);
  }

  ChunkPool pool_{1 << 20};
  std::vector<std::unique_ptr<Memtable, Unpin>> memtables_;
  std::map<Version, int> model_;
  std::uint64_t sequence_ = 0;
};

TEST_F(MergeTest, IsASortedMapInBothDirectionsForAnyNumberOfSources) {
  Random random(test_seed());
  for (std::size_t sources = 1; sources <= 17; ++sources) {
    SCOPED_TRACE(sources);
    memtables_.clear();
    model_.clear();
    fill(random, sources, static_cast<int>(random.below(400)));
    const auto forward = merge(Direction::forward), backward = merge(Direction::backward);
    forward->start({});
    expect_rest(*forward, model_.begin(), model_.end());
    backward->start({});
    expect_rest(*backward, model_.rbegin(), model_.rend());
    for (int seek = 0; seek < 20; ++seek) {  // the same merges, elsewhere
      const std::string key = random_key(random);
      const auto from = model_.lower_bound({key, 0});
      forward->start(as_bytes(key));
      expect_rest(*forward, from, model_.end());
      backward->start(as_bytes(key));
      expect_rest(*backward, std::make_reverse_iterator(from), model_.rend());
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(MergeTest, WithoutSourcesThereIsNothing) {
  Merge merge(Direction::forward);
  EXPECT_EQ(merge.start({}), SourceState::end);
}

}  // namespace
}  // namespace ashlar::lsm

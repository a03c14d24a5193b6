#include "ashlar/kv/lsm/table/s3_fifo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace ashlar::lsm {
namespace {

struct Element : ListHook<> {
  std::uint64_t name = 0;
  unsigned uses = 0;
  bool held = false;
  bool in_main_ = false;

  std::uint64_t identity() const noexcept { return (name + 1) * 0x9e3779b97f4a7c15; }
  unsigned heat() const noexcept { return uses; }
  void cool(unsigned to) noexcept { uses = to; }
  bool pinned() const noexcept { return held; }
};

/// A cache of names, to count hits.
class Names {
 public:
  explicit Names(std::size_t capacity) : capacity_(capacity), queue_(capacity) {}
  ~Names() {
    for (auto& [name, element] : held_) queue_.remove(element);
  }

  bool use(std::uint64_t name) {
    if (const auto found = held_.find(name); found != held_.end()) {
      found->second.uses = std::min(3u, found->second.uses + 1);
      return true;
    }
    if (held_.size() == capacity_) {
      Element* victim = queue_.evict();
      if (victim == nullptr) return false;
      held_.erase(victim->name);
    }
    Element& element = held_[name];
    element.name = name;
    queue_.insert(element);
    return false;
  }
  Element& operator[](std::uint64_t name) { return held_[name]; }

 private:
  std::size_t capacity_;
  std::map<std::uint64_t, Element> held_;
  S3Fifo<Element> queue_;
};

TEST(S3Fifo, AScanLeavesWhatIsUsed) {
  Names names(100);
  for (int round = 0; round < 4; ++round) {
    for (std::uint64_t i = 0; i < 60; ++i) names.use(i);
  }
  for (std::uint64_t i = 1000; i < 3000; ++i) names.use(i);
  int hits = 0;
  for (std::uint64_t i = 0; i < 60; ++i) hits += names.use(i);
  EXPECT_EQ(hits, 60);
}

TEST(S3Fifo, WhatComesBackSoonIsKept) {
  Names names(100);
  for (std::uint64_t i = 0; i < 101; ++i) names.use(i);  // 0 is evicted, its ghost remains
  EXPECT_FALSE(names.use(0));
  for (std::uint64_t i = 1000; i < 1080; ++i) names.use(i);
  EXPECT_TRUE(names.use(0));
}

TEST(S3Fifo, PinnedElementsStay) {
  Names names(4);
  for (std::uint64_t i = 0; i < 4; ++i) names.use(i);
  for (std::uint64_t i = 0; i < 4; ++i) names[i].held = true;
  EXPECT_FALSE(names.use(9));
  EXPECT_FALSE(names.use(9)) << "nothing could be evicted for it";
  names[2].held = false;
  names.use(9);
  EXPECT_TRUE(names.use(9));
  EXPECT_TRUE(names.use(0));
  EXPECT_FALSE(names.use(2));
}

TEST(S3Fifo, WhereAllIsHotItStillDecidesSoon) {
  struct Counting : ListHook<> {
    std::uint64_t name = 0;
    bool in_main_ = false;
    std::uint64_t identity() const noexcept { return name; }
    void cool(unsigned) noexcept {}
    bool pinned() const noexcept { return false; }
    unsigned heat() const noexcept { return ++*looks, 3; }
    unsigned* looks = nullptr;
  };
  unsigned looks = 0;
  std::vector<std::unique_ptr<Counting>> all;
  S3Fifo<Counting> queue(10000);
  for (std::uint64_t i = 0; i < 10000; ++i) {
    all.push_back(std::make_unique<Counting>());
    all.back()->name = i;
    all.back()->looks = &looks;
    queue.insert(*all.back());
  }
  EXPECT_NE(queue.evict(), nullptr);
  EXPECT_LT(looks, 200u);
  while (queue.evict() != nullptr) {
  }
  EXPECT_EQ(queue.size(), 0u);
}

/// Hits of a trace, in a cache of an eighth of what it names: by this policy, by least recently used, and by
/// one that knows the future (Belady), which none can beat.
struct Hits {
  std::size_t ours = 0, lru = 0, ideal = 0;
};
using Trace = std::vector<std::uint64_t>;
constexpr std::size_t blocks = 4000, capacity = blocks / 8;

std::size_t lru_hits(const Trace& trace) {
  std::map<std::uint64_t, std::uint64_t> used;  // when, by name
  std::map<std::uint64_t, std::uint64_t> order;
  std::size_t hits = 0;
  for (std::uint64_t now = 0; now < trace.size(); ++now) {
    if (const auto found = used.find(trace[now]); found != used.end()) {
      ++hits;
      order.erase(found->second);
    } else if (used.size() == capacity) {
      used.erase(order.begin()->second);
      order.erase(order.begin());
    }
    used[trace[now]] = now;
    order[now] = trace[now];
  }
  return hits;
}

std::size_t ideal_hits(const Trace& trace) {
  std::vector<std::uint64_t> next(trace.size());
  std::map<std::uint64_t, std::uint64_t> seen;
  for (std::size_t at = trace.size(); at-- > 0;) {
    const auto later = seen.find(trace[at]);
    next[at] = later != seen.end() ? later->second : trace.size() + at;  // never again: all different
    seen[trace[at]] = at;
  }
  std::map<std::uint64_t, std::uint64_t> held;  // names by when they are used next
  std::size_t hits = 0;
  for (std::size_t at = 0; at < trace.size(); ++at) {
    if (held.erase(at) != 0) {
      ++hits;
    } else if (held.size() == capacity) {
      if (std::prev(held.end())->first <= next[at]) continue;
      held.erase(std::prev(held.end()));
    }
    held[next[at]] = trace[at];
  }
  return hits;
}

Hits hits_of(const Trace& trace) {
  Hits hits{.lru = lru_hits(trace), .ideal = ideal_hits(trace)};
  Names names(capacity);
  for (const std::uint64_t name : trace) hits.ours += names.use(name);
  return hits;
}

class Skewed {
 public:
  explicit Skewed(double exponent) {
    std::vector<double> weights;
    for (std::size_t i = 1; i <= blocks; ++i) weights.push_back(std::pow(static_cast<double>(i), -exponent));
    zipf_ = std::discrete_distribution<std::uint64_t>(weights.begin(), weights.end());
  }
  void reads(Trace& trace, std::size_t count, std::uint64_t first_name = 0) {
    for (std::size_t i = 0; i < count; ++i) trace.push_back(first_name + zipf_(random_));
  }

 private:
  std::mt19937_64 random_{7};
  std::discrete_distribution<std::uint64_t> zipf_;
};

TEST(S3Fifo, OnSkewedReadsItBeatsLeastRecentlyUsedAndComesCloseToTheIdeal) {
  for (const double exponent : {0.8, 0.99, 1.2}) {
    Trace trace;
    Skewed(exponent).reads(trace, 60'000);
    const Hits hits = hits_of(trace);
    EXPECT_GT(hits.ours, hits.lru) << exponent;
    EXPECT_GT(hits.ours * 100, hits.ideal * 78) << exponent;
  }
}

TEST(S3Fifo, TheHotSetSurvivesScans) {
  Skewed skewed(0.99);
  Trace trace;
  std::size_t read = 0;
  for (int scan = 0; scan < 5; ++scan) {
    skewed.reads(trace, 12'000);
    read += 12'000;
    for (std::uint64_t block = 0; block < blocks; ++block) trace.push_back(block);
  }
  Trace alone;
  Skewed(0.99).reads(alone, read);
  const Hits hits = hits_of(trace), without = hits_of(alone);
  EXPECT_GT(hits.ours, hits.lru + read / 100) << "a scan pushes everything out of the other";
  EXPECT_GT(hits.ours * 100, without.ours * 97) << "and costs little here";
  EXPECT_GT(hits.ours * 100, hits.ideal * 80);
}

/// Compaction makes new blocks of old ones: every name changes.
TEST(S3Fifo, TheHotSetIsSoonBackAfterCompaction) {
  Skewed skewed(0.99);
  Trace trace;
  for (std::uint64_t generation = 0; generation < 5; ++generation)
    skewed.reads(trace, 12'000, generation * blocks);
  const Hits hits = hits_of(trace);
  EXPECT_GT(hits.ours * 100, hits.lru * 99);
  EXPECT_GT(hits.ours * 100, hits.ideal * 80);
}

}  // namespace
}  // namespace ashlar::lsm

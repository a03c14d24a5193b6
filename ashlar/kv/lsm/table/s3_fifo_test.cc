#include "ashlar/kv/lsm/table/s3_fifo.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <random>

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

TEST(S3Fifo, BeatsFirstInFirstOutOnSkewedUse) {
  constexpr std::size_t capacity = 200, universe = 4000, uses = 100000;
  std::vector<double> weights;
  for (std::size_t i = 0; i < universe; ++i) weights.push_back(1.0 / static_cast<double>(i + 1));
  std::discrete_distribution<std::uint64_t> zipf(weights.begin(), weights.end());
  std::mt19937_64 random(7);
  Names names(capacity);
  std::map<std::uint64_t, std::size_t> fifo;
  std::vector<std::uint64_t> order;
  std::size_t hits = 0, fifo_hits = 0, oldest = 0;
  for (std::size_t i = 0; i < uses; ++i) {
    const std::uint64_t name = zipf(random);
    hits += names.use(name);
    if (fifo.contains(name)) {
      ++fifo_hits;
      continue;
    }
    if (fifo.size() == capacity) fifo.erase(order[oldest++]);
    fifo[name] = i;
    order.push_back(name);
  }
  EXPECT_GT(hits, fifo_hits + uses / 20);
}

}  // namespace
}  // namespace ashlar::lsm

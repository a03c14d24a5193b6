#include "ashlar/runtime/memory/epoch.h"

#include <gtest/gtest.h>

#include <thread>

namespace ashlar {
namespace {

/// Knows whether it is alive. Freed memory would be reported by ASan and TSan; the mark shows it without
/// them.
struct Object {
  static constexpr std::uint64_t alive = 0x600DF00D;
  explicit Object(std::uint64_t v, int* count = nullptr) noexcept : value(v), freed(count) {}
  ~Object() {
    mark = 0;
    if (freed != nullptr) ++*freed;
  }
  std::uint64_t mark = alive;
  std::uint64_t value;
  int* freed;
};

TEST(Epoch, FreesAtOnceWhereNobodyReads) {
  int freed = 0;
  EpochDomain domain;
  domain.retire(new Object(1, &freed));
  domain.retire(std::make_unique<const Object>(2, &freed));
  EXPECT_EQ(domain.pending(), 2u);
  EXPECT_EQ(domain.reclaim(), 2u);
  EXPECT_EQ(freed, 2);
  EXPECT_EQ(domain.reclaim(), 0u);
}

TEST(Epoch, WaitsForTheReadersThatWereThere) {
  int freed = 0;
  EpochDomain domain;
  {
    epoch::Guard outer;
    {
      epoch::Guard inner;
      domain.retire(new Object(1, &freed));
    }
    EXPECT_TRUE(epoch::Guard::held());
    EXPECT_EQ(domain.reclaim(), 0u);
    domain.retire(new Object(2, &freed));  // must wait for the next grace period
    EXPECT_EQ(domain.reclaim(), 0u);
  }
  EXPECT_FALSE(epoch::Guard::held());
  {
    epoch::Guard later;  // came after the first was unpublished: does not hold it back
    EXPECT_EQ(domain.reclaim(), 1u);
    EXPECT_EQ(domain.pending(), 1u);
  }
  domain.drain();
  EXPECT_EQ(freed, 2);
}

TEST(Epoch, ReclaimsByItselfInBatches) {
  int freed = 0;
  EpochDomain domain;
  for (std::uint64_t i = 0; i < 1000; ++i) domain.retire(new Object(i, &freed));
  EXPECT_LT(domain.pending(), 100u);
  domain.drain();
  EXPECT_EQ(freed, 1000);
}

TEST(Epoch, DestructorsMayRetire) {
  struct Node {
    Node(EpochDomain& d, int* count, int left) : domain(d), freed(count), depth(left) {}
    ~Node() {
      ++*freed;
      for (int i = 0; depth > 0 && i < 100; ++i) domain.retire(new Node(domain, freed, depth - 1));
    }
    EpochDomain& domain;
    int* freed;
    int depth;
  };
  int freed = 0;
  EpochDomain domain;
  domain.retire(new Node(domain, &freed, 2));
  domain.drain();
  EXPECT_EQ(freed, 1 + 100 + 100 * 100);
}

TEST(Epoch, AThreadThatEndedHoldsNothingBack) {
  int freed = 0;
  EpochDomain domain;
  for (int i = 0; i < 20; ++i) {
    std::thread([] { epoch::Guard guard; }).join();
    domain.retire(new Object(1, &freed));
    EXPECT_EQ(domain.reclaim(), 1u);
  }
  EXPECT_EQ(freed, 20);
}

// Readers follow a published pointer as fast as they can while the owner replaces and frees what it points
// to. Short- lived threads register and leave meanwhile.
TEST(Epoch, NobodyEverSeesFreedMemory) {
  constexpr std::uint64_t versions = 200'000;
  std::atomic<Object*> published{new Object(0)};
  std::atomic<bool> done{false};

  const auto read = [&](std::uint64_t times) {
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i < times && !done.load(std::memory_order_relaxed); ++i) {
      epoch::Guard guard;
      const Object* object = published.load(std::memory_order_acquire);
      ASSERT_EQ(object->mark, Object::alive);
      ASSERT_GE(object->value, last);
      last = object->value;
      ASSERT_EQ(object->mark, Object::alive);
    }
  };
  std::thread fast([&] { read(~std::uint64_t{0}); });
  std::thread come_and_go([&] {
    while (!done.load(std::memory_order_relaxed)) std::thread([&] { read(100); }).join();
  });

  {
    EpochDomain domain;
    for (std::uint64_t version = 1; version <= versions; ++version) {
      Object* old = published.exchange(new Object(version), std::memory_order_release);
      domain.retire(old);
      if (version % 7 == 0) domain.reclaim();
    }
  }
  done = true;
  fast.join();
  come_and_go.join();
  delete published.load();
}

}  // namespace
}  // namespace ashlar

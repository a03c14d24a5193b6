#include "ashlar/runtime/sync/timer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "ashlar/base/random.h"

namespace ashlar {
namespace {

struct Alarm : Timer {
  std::size_t id = 0;
  std::vector<std::size_t>* fired = nullptr;
};

Instant at(std::uint64_t ns) {
  return Instant(Duration(static_cast<Duration::rep>(ns)));
}

// Any sequence of arming, arming again, disarming and expiry fires what a sorted map would, in its order.
TEST(TimerHeap, BehavesAsASortedMap) {
  const char* given = std::getenv("ASHLAR_SEED");
  const std::uint64_t first_seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 1;
  const std::uint64_t seeds = given != nullptr ? 1 : 50;
  for (std::uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    SCOPED_TRACE("ASHLAR_SEED=" + std::to_string(seed));
    Random random(seed);
    TimerHeap heap;
    std::vector<std::size_t> fired, expected;
    std::vector<Alarm> alarms(random.between(1, 200));
    std::map<std::pair<Instant, std::uint64_t>, std::size_t> model;  // by time, then order of arming
    std::vector<std::pair<Instant, std::uint64_t>> key(alarms.size());
    std::uint64_t armed = 0, now = 0;
    for (std::size_t i = 0; i < alarms.size(); ++i) {
      alarms[i].id = i;
      alarms[i].fired = &fired;
      alarms[i].fire = [](Timer& timer) noexcept {
        auto& self = static_cast<Alarm&>(timer);
        self.fired->push_back(self.id);
      };
    }
    for (int step = 0; step < 3'000; ++step) {
      const std::size_t i = random.below(alarms.size());
      if (const auto action = random.below(10); action < 6) {
        model.erase(key[i]);
        key[i] = {at(now + random.skewed(0, 1'000)), ++armed};
        model[key[i]] = i;
        heap.arm(alarms[i], key[i].first);
      } else if (action < 9) {
        model.erase(key[i]);
        heap.disarm(alarms[i]);
      } else {
        now += random.skewed(0, 1'000);
        while (!model.empty() && model.begin()->first.first <= at(now)) {
          expected.push_back(model.begin()->second);
          model.erase(model.begin());
        }
        heap.expire(at(now));
      }
      ASSERT_EQ(fired, expected);
      ASSERT_EQ(heap.next(), model.empty() ? never : model.begin()->first.first);
      ASSERT_EQ(alarms[i].armed, model.contains(key[i]));
    }
    heap.expire(at(now + 10'000));
    for (const auto& [when, id] : model) expected.push_back(id);
    EXPECT_EQ(fired, expected);
    EXPECT_EQ(heap.next(), never);
  }
}

TEST(TimerHeap, FiringMayArmAndDisarmOthers) {
  struct Chain : Timer {
    TimerHeap* heap = nullptr;
    Timer* victim = nullptr;
    int left = 3;
  };
  TimerHeap heap;
  Alarm victim;
  victim.fire = [](Timer&) noexcept { FAIL() << "was disarmed"; };
  Chain chain;
  chain.heap = &heap;
  chain.victim = &victim;
  chain.fire = [](Timer& timer) noexcept {
    auto& self = static_cast<Chain&>(timer);
    self.heap->disarm(*self.victim);
    if (--self.left > 0) self.heap->arm(self, self.when);  // due at once, and so fires in the same expiry
  };
  heap.arm(chain, at(5));
  heap.arm(victim, at(5));
  EXPECT_EQ(heap.expire(at(4)), 0u);
  EXPECT_EQ(heap.expire(at(5)), 3u);
  EXPECT_EQ(heap.next(), never);
}

TEST(TimerHeap, AMillionSiblingsCostNoStack) {
  TimerHeap heap;
  std::vector<std::size_t> fired;
  std::vector<Alarm> alarms(1'000'000);
  for (std::size_t i = 0; i < alarms.size(); ++i) {
    alarms[i].fire = [](Timer&) noexcept {};
    heap.arm(alarms[i], at(alarms.size() - (i % 2 == 0 ? i : alarms.size() - i)));
  }
  EXPECT_EQ(heap.expire(at(alarms.size())), alarms.size());
}

}  // namespace
}  // namespace ashlar

#include "ashlar/runtime/mesh/message_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

namespace ashlar {
namespace {

struct Numbered : Message {
  unsigned number = 0;
  std::vector<unsigned>* into = nullptr;
  static void arrived(Message& message) noexcept {
    auto& self = static_cast<Numbered&>(message);
    self.into->push_back(self.number);
  }
};

TEST(MessageRing, ShowsNothingBeforePublishAndAllInOrderAfter) {
  std::vector<unsigned> seen;
  std::array<Numbered, 4> messages;
  MessageRing<4> ring;
  for (unsigned lap = 0; lap < 3; ++lap) {
    for (unsigned i = 0; i < 3; ++i) {
      messages[i].number = i;
      messages[i].into = &seen;
      EXPECT_TRUE(ring.stage(messages[i], Numbered::arrived));
      EXPECT_TRUE(ring.empty());
    }
    EXPECT_EQ(ring.deliver_all(), 0u);
    ring.publish();
    ring.publish();
    EXPECT_FALSE(ring.empty());
    EXPECT_EQ(ring.deliver_all(), 3u);
    EXPECT_EQ(seen, (std::vector<unsigned>{0, 1, 2}));
    EXPECT_TRUE(ring.empty());
    seen.clear();
  }
}

TEST(MessageRing, RefusesWhatDoesNotFitUntilTheConsumerHasTakenSome) {
  std::vector<unsigned> seen;
  std::array<Numbered, 5> messages;
  MessageRing<4> ring;
  for (Numbered& message : messages) message.into = &seen;
  for (unsigned i = 0; i < 4; ++i) EXPECT_TRUE(ring.stage(messages[i], Numbered::arrived));
  EXPECT_FALSE(ring.stage(messages[4], Numbered::arrived));
  ring.publish();
  EXPECT_FALSE(ring.stage(messages[4], Numbered::arrived));
  EXPECT_EQ(ring.deliver_all(), 4u);
  EXPECT_TRUE(ring.stage(messages[4], Numbered::arrived));
  ring.publish();
  EXPECT_EQ(ring.deliver_all(), 1u);
}

TEST(MessageRing, LosesAndReordersNothingBetweenTwoThreads) {
  constexpr unsigned count = 20'000;
  std::vector<unsigned> seen;
  std::vector<Numbered> messages(count);
  MessageRing<64> ring;
  std::thread producer([&] {
    for (unsigned i = 0; i < count; ++i) {
      messages[i].number = i;
      messages[i].into = &seen;
      while (!ring.stage(messages[i], Numbered::arrived)) {
        ring.publish();
        std::this_thread::yield();
      }
      if (i % 7 == 0 || i + 1 == count) ring.publish();
    }
  });
  while (seen.size() != count) {
    if (ring.deliver_all() == 0) std::this_thread::yield();
  }
  producer.join();
  for (unsigned i = 0; i < count; ++i) ASSERT_EQ(seen[i], i);
}

}  // namespace
}  // namespace ashlar

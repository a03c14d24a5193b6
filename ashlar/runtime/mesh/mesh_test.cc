#include "ashlar/runtime/mesh/mesh.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;

/// Several shards on one thread, turned by hand.
class MeshTest : public ::testing::Test {
 protected:
  static constexpr unsigned count = 3;
  struct Numbered : Message {
    unsigned number = 0;
    std::vector<unsigned>* arrived = nullptr;
  };

  void SetUp() override {
    for (unsigned id = 0; id < count; ++id) {
      shards_.push_back(std::make_unique<Shard>(ShardId(id), std::make_unique<testing::ClockBackend>(), mesh_,
                                                ShardOptions{}));
    }
  }
  void TearDown() override {
    shards_.clear();
    Shard::enter(nullptr);
  }
  bool turn(unsigned id) {
    Shard::enter(shards_[id].get());
    return shards_[id]->poll_once();
  }
  void settle() {
    bool any = true;
    while (any) {
      any = false;
      for (unsigned id = 0; id < count; ++id) any |= turn(id);
    }
  }
  MeshPort& port(unsigned id) { return shards_[id]->mesh(); }
  void prepare(std::vector<Numbered>& messages) {
    for (unsigned i = 0; i < messages.size(); ++i) {
      messages[i].number = i;
      messages[i].arrived = &arrived_;
      messages[i].deliver = [](Message& message) noexcept {
        const auto& self = static_cast<Numbered&>(message);
        self.arrived->push_back(self.number);
      };
    }
  }

  Mesh mesh_{count};
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<unsigned> arrived_;
};

TEST_F(MeshTest, DeliversAtTheEndOfTheTurnInOrder) {
  std::vector<Numbered> messages(10);
  prepare(messages);
  for (Numbered& message : messages) port(0).send(ShardId(1), message);
  EXPECT_FALSE(port(1).has_inbound()) << "not before the turn ends, or a batch is full";
  EXPECT_TRUE(port(0).has_outbound());
  EXPECT_TRUE(turn(0));
  EXPECT_FALSE(port(0).has_outbound());
  EXPECT_TRUE(port(1).has_inbound());
  EXPECT_FALSE(port(2).has_inbound());
  turn(1);
  ASSERT_EQ(arrived_.size(), 10u);
  EXPECT_TRUE(std::ranges::equal(arrived_, messages, {}, {}, &Numbered::number));
}

TEST_F(MeshTest, WaitsInOrderWhereTheRingIsFull) {
  std::vector<Numbered> messages(5 * Mesh::ring_capacity + 7);
  prepare(messages);
  for (Numbered& message : messages) {
    EXPECT_EQ(port(0).congested(ShardId(1)),
              &message - messages.data() >= 2 * std::ptrdiff_t{Mesh::ring_capacity});
    port(0).send(ShardId(1), message);
  }
  EXPECT_FALSE(port(0).congested(ShardId(2)));
  for (int rounds = 0; arrived_.size() < messages.size(); ++rounds) {
    ASSERT_LT(rounds, 10);
    turn(0);
    EXPECT_EQ(port(0).has_outbound(), arrived_.size() + Mesh::ring_capacity < messages.size());
    turn(1);
  }
  EXPECT_TRUE(std::ranges::equal(arrived_, messages, {}, {}, &Numbered::number));
  EXPECT_FALSE(turn(0));
  EXPECT_FALSE(turn(1));
}

TEST_F(MeshTest, InvokeRunsThereAndAnswersHere) {
  Shard::enter(shards_[0].get());
  bool done = false;
  shards_[0]->scope().spawn([](bool* flag) -> Task<> {
    for (unsigned target = 0; target < count; ++target) {
      const unsigned ran_on = co_await invoke(ShardId(target), [] { return Shard::current().id().value; });
      EXPECT_EQ(ran_on, target);
      const int from_task = co_await invoke(ShardId(target), []() -> Task<int> {
        co_await yield();
        co_return 7;
      });
      EXPECT_EQ(from_task, 7);
      int touched = 0;
      co_await invoke(ShardId(target), [&] { ++touched; });
      EXPECT_EQ(touched, 1);
      EXPECT_EQ(Shard::current().id(), ShardId(0));
    }
    *flag = true;
  }(&done));
  settle();
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace ashlar

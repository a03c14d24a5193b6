#include "ashlar/runtime/shard/shard.h"

#include <gtest/gtest.h>
#include <time.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "ashlar/runtime/ops/epoll/epoll_backend.h"
#include "ashlar/runtime/ops/uring/uring_backend.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;

// Virtual time stands still while tasks run: each resumption then counts alike, and the shares are exact.
TEST(ShardShares, ReadySharesAreServedByWeight) {
  testing::TestShard shard;
  std::array<int, share_count> turns{};
  bool stop = false;
  const auto spin = [](int* count, const bool* end) -> Task<> {
    while (!*end) {
      ++*count;
      co_await yield();
    }
  };
  for (const Share share : {Share::background, Share::flush, Share::foreground}) {
    shard->scope().spawn(spin(&turns[static_cast<unsigned>(share)], &stop), share);
  }
  while (turns[0] + turns[1] + turns[2] < 1'300'000) shard->poll_once();
  stop = true;
  shard.settle();
  EXPECT_NEAR(turns[0], 1'000'000, 20'000);
  EXPECT_NEAR(turns[1], 200'000, 10'000);
  EXPECT_NEAR(turns[2], 100'000, 10'000);
}

TEST(ShardShares, ARequestWaitsForOneResumptionOfAnotherShareAtMost) {
  testing::TestShard shard;
  struct State {
    int background = 0;
    int served_at = -1;
  } state;
  shard->scope().spawn(
      [](State* shared) -> Task<> {
        for (; shared->background < 20'000; ++shared->background) {
          if (shared->background == 10'000) {  // in the middle of a slice
            Shard::current().scope().spawn(
                [](State* seen) -> Task<> {
                  seen->served_at = seen->background;
                  co_return;
                }(shared),
                Share::foreground);
          }
          co_await yield();
        }
      }(&state),
      Share::background);
  shard.settle();
  EXPECT_EQ(state.background, 20'000);
  EXPECT_GE(state.served_at, 10'000);
  EXPECT_LE(state.served_at, 10'001);
}

/// Sleeps by looking at a flag, so that a sleep and a wake-up cost nanoseconds and meet each other at every
/// point. A wait that nobody ends within seconds is a lost wake-up.
class FlagBackend final : public testing::NoIoBackend {
 public:
  const char* name() const noexcept override { return "flag"; }
  unsigned wait(Instant until) noexcept override {
    const Instant limit = now() + 10s;
    for (unsigned rounds = 1; !woken_.exchange(false, std::memory_order_acq_rel); ++rounds) {
      if (rounds % 1'024 != 0) continue;
      const Instant time = now();
      if (time >= until) return 0;
      if (time >= limit) {
        ADD_FAILURE() << "a wake-up was lost";
        std::abort();
      }
      std::this_thread::yield();
    }
    return 0;
  }
  void wake() noexcept override { woken_.store(true, std::memory_order_release); }
  Instant now() const noexcept override {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return Instant(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
  }

 private:
  std::atomic<bool> woken_{false};
};

using MakeBackend = std::function<std::unique_ptr<Backend>()>;

/// Two shards throw `balls` messages to and fro until `throws` were caught, and sleep whenever they have
/// none.
void play(const MakeBackend& make_backend, unsigned balls, std::uint64_t throws) {
  struct Ball : Message {
    std::atomic<std::uint64_t>* left = nullptr;
    std::atomic<bool>* done = nullptr;
  };
  std::atomic<std::uint64_t> left{throws};
  std::atomic<bool> done{false};
  std::atomic<unsigned> ready{0}, finished{0};
  Mesh mesh(2);
  std::vector<Ball> thrown(balls);
  std::array<std::uint64_t, 2> sleeps{};

  const auto player = [&](unsigned id) {
    Shard shard(ShardId(id), make_backend(), mesh, ShardOptions{.spin = 0ns});
    Shard::enter(&shard);
    ++ready;
    while (ready != 2) std::this_thread::yield();
    for (unsigned i = id; i < balls; i += 2) {
      Ball& ball = thrown[i];
      ball.left = &left;
      ball.done = &done;
      ball.deliver = [](Message& message) noexcept {
        auto& caught = static_cast<Ball&>(message);
        Shard& here = Shard::current();
        if (caught.left->fetch_sub(1, std::memory_order_relaxed) > 1) {
          here.mesh().send(ShardId(1 - here.id().value), caught);
        } else {
          caught.left->store(1, std::memory_order_relaxed);  // the others end here too
          caught.done->store(true);
        }
      };
      shard.mesh().send(ShardId(1 - id), ball);
    }
    while (!done) {
      if (!shard.poll_once()) shard.sleep(never, &done);
    }
    mesh.shard(1 - id)->wake_if_sleeping();
    ++finished;
    while (finished != 2) shard.poll_once();  // the other may still look at us
    sleeps[id] = shard.stats().sleeps;
    Shard::enter(nullptr);
  };
  std::thread other(player, 1);
  player(0);
  other.join();
  EXPECT_GT(sleeps[0] + sleeps[1], 0u);
}

TEST(ShardWake, NoWakeUpIsLostAmongMillionsOfMessages) {
  const auto flags = [] { return std::make_unique<FlagBackend>(); };
  play(flags, 1, 100'000);
  play(flags, 2, 200'000);
  play(flags, 37, 2'000'000);
}

TEST(ShardWake, NorOnTheBackEndsOfTheSystem) {
  const auto epoll = []() -> std::unique_ptr<Backend> { return *EpollBackend::create(); };
  play(epoll, 1, 30'000);
  play(epoll, 5, 30'000);
  if (const auto probe = UringBackend::create(); !probe) {
    GTEST_SKIP() << "io_uring is not available: " << probe.error().to_string();
  }
  const auto uring = []() -> std::unique_ptr<Backend> { return *UringBackend::create(); };
  play(uring, 1, 30'000);
  play(uring, 5, 30'000);
}

TEST(ShardWake, ForeignThreadsReachASleepingShard) {
  constexpr unsigned threads = 3, posts = 100'000;
  struct Post : Message {
    unsigned thread = 0, number = 0;
    std::vector<unsigned>* next = nullptr;
    unsigned* arrived = nullptr;
  };
  Mesh mesh(1);
  Shard shard(ShardId(0), std::make_unique<FlagBackend>(), mesh, ShardOptions{});
  Shard::enter(&shard);
  std::vector<unsigned> next(threads, 0);
  unsigned arrived = 0;
  std::vector<std::vector<Post>> sent(threads, std::vector<Post>(posts));
  std::vector<std::thread> posters;
  for (unsigned id = 0; id < threads; ++id) {
    posters.emplace_back([&, id] {
      for (unsigned number = 0; number < posts; ++number) {
        Post& post = sent[id][number];
        post.thread = id;
        post.number = number;
        post.next = &next;
        post.arrived = &arrived;
        post.deliver = [](Message& message) noexcept {
          const auto& self = static_cast<Post&>(message);
          EXPECT_EQ(self.number, (*self.next)[self.thread]++) << "first in, first out per thread";
          ++*self.arrived;
        };
        shard.post(post);
      }
    });
  }
  while (arrived < threads * posts) {
    if (!shard.poll_once()) shard.sleep();
  }
  for (std::thread& poster : posters) poster.join();
  Shard::enter(nullptr);
}

class CountingPoller final : public Poller {
 public:
  bool poll() noexcept override {
    ++polls;
    if (unlink_itself) unlink();
    return happens;
  }
  bool awaits() const noexcept override { return wants; }

  int polls = 0;
  bool happens = false, wants = false, unlink_itself = false;
};

TEST(ShardPollers, AreLookedAtInEveryTurnAndKeepTheShardAwakeWhileTheyAwait) {
  testing::TestShard shard;
  CountingPoller first, second;
  shard->add(first);
  shard->add(second);
  EXPECT_FALSE(shard->poll_once());
  EXPECT_EQ(first.polls, 1);
  EXPECT_EQ(second.polls, 1);
  EXPECT_FALSE(shard->has_work());
  second.wants = true;
  EXPECT_TRUE(shard->has_work()) << "a sleeping shard would not see it";
  second.happens = true;
  EXPECT_TRUE(shard->poll_once());

  first.unlink_itself = true;
  second.wants = second.happens = false;
  shard->poll_once();
  shard->poll_once();
  EXPECT_EQ(first.polls, 3);
  EXPECT_EQ(second.polls, 4);
  EXPECT_FALSE(shard->has_work());
}

}  // namespace
}  // namespace ashlar

/// A database whose shard is the thread that opened it, driven by that thread's own event loop.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "ashlar/embed/test_db.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;

class DrivenTest : public DbTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  /// With one shard the database has no thread of its own.
  static DbOptions driven_options() {
    DbOptions options = small_options();
    options.shards = GetParam();
    options.drive = true;
    if (GetParam() > 1) options.boundaries = {"m"};
    return options;
  }
};

TEST_P(DrivenTest, CallsThatWaitDriveTheShard) {
  {
    Db db = open(driven_options());
    EXPECT_TRUE(db.put("a", "1"));
    EXPECT_TRUE(db.put("z", "2"));
    EXPECT_EQ(db.get("a").value(), "1");
    EXPECT_TRUE(db.flush());
    Iterator it = db.iterate().value();
    EXPECT_EQ(keys_of(it).size(), 2u);
    Transaction step = db.begin().value();
    EXPECT_EQ(step.get("z").value(), "2");
    EXPECT_TRUE(step.put("a", "3"));
    EXPECT_TRUE(step.put("z", "3"));
    EXPECT_TRUE(step.commit());
    EXPECT_TRUE(db.close());
    EXPECT_EQ(db.get("a").error().code, Errc::closed);
    EXPECT_FALSE(db.run_once(1ms));
  }
  Db db = open(driven_options());
  EXPECT_EQ(db.get("a").value(), "3");
  EXPECT_EQ(db.get("z").value(), "3");
}

/// The program's loop waits for the descriptor and for an event of its own; other threads put and get.
TEST_P(DrivenTest, AForeignEventLoopServesOtherThreads) {
  static constexpr int threads = 3, puts = 100;
  Db db = open(driven_options());
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  const int ended = eventfd(0, EFD_CLOEXEC);
  const int descriptor = db.descriptor().value();
  for (const int fd : {ended, descriptor}) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
  }
  std::atomic<int> left{threads};
  std::vector<std::thread> clients;
  for (int client = 0; client < threads; ++client) {
    clients.emplace_back([&, client] {
      EXPECT_EQ(db.descriptor().error().code, Errc::invalid);
      EXPECT_EQ(db.close().error().code, Errc::invalid);
      for (int i = 0; i < puts; ++i) {
        const std::string key = std::string(1, i % 2 == 0 ? 'a' : 'z') + std::to_string(client * puts + i);
        EXPECT_TRUE(db.put(key, key));
        EXPECT_EQ(db.get(key).value(), key);
      }
      if (--left == 0) {
        const std::uint64_t one = 1;
        EXPECT_EQ(::write(ended, &one, sizeof one), static_cast<ssize_t>(sizeof one));
      }
    });
  }
  std::atomic<int> answered{0};
  EXPECT_TRUE(db.put_async("own", "v", [&](Result<> done) {
    EXPECT_TRUE(done);
    ++answered;
  }));
  bool served = false;
  for (bool end = false; !end;) {
    const std::chrono::nanoseconds wait = db.poll();
    const auto limit =
        std::chrono::ceil<std::chrono::milliseconds>(std::min<std::chrono::nanoseconds>(wait, 5s));
    epoll_event event{};
    const int ready = epoll_wait(epoll, &event, 1, static_cast<int>(limit.count()));
    if (ready < 0 && errno == EINTR) continue;
    ASSERT_TRUE(ready > 0 || wait < 5s) << "nothing woke the loop";
    served |= ready > 0 && event.data.fd == descriptor;
    end = ready > 0 && event.data.fd == ended;
  }
  EXPECT_TRUE(served);
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered.load(), 1);
  Iterator it = db.iterate().value();
  EXPECT_EQ(keys_of(it).size(), std::size_t{threads * puts + 1});
  EXPECT_TRUE(db.close());
  ::close(ended);
  ::close(epoll);
}

// A handle is its caller's to hand on: who waits for it need not be who began it.
TEST_P(DrivenTest, HandlesAreWaitedForByWhicheverThread) {
  Db db = open(driven_options());
  PendingPut here, there;
  EXPECT_TRUE(db.put_async("a", "of here", here));
  std::atomic<bool> waited{false};
  std::thread waiting([&] {
    EXPECT_TRUE(here.wait());
    waited.store(true);
  });
  while (!waited.load()) (void)db.run_once(1ms);
  waiting.join();
  std::thread beginning([&] { EXPECT_TRUE(db.put_async("z", "of there", there)); });
  beginning.join();
  EXPECT_TRUE(there.wait());
  EXPECT_EQ(db.get("a").value(), "of here");
  EXPECT_EQ(db.get("z").value(), "of there");
}

TEST_P(DrivenTest, ACallbackOnTheDrivingThreadMayNotWait) {
  Db db = open(driven_options());
  std::atomic<int> answered{0};
  EXPECT_TRUE(db.put_async("a", "v", [&](Result<> done) {
    EXPECT_TRUE(done);
    EXPECT_EQ(db.put("b", "v").error().code, Errc::invalid);
    EXPECT_FALSE(db.run_once(1ms));
    ++answered;
  }));
  while (answered.load() == 0) (void)db.run_once(100ms);
  EXPECT_EQ(db.get("a").value(), "v");
}

TEST_P(DrivenTest, ADirectoryThatCannotBeOpenedSaysSo) {
  Db db = open(driven_options());
  std::string message;
  EXPECT_EQ(Db::open(path(), driven_options(), &message).error().code, Errc::busy);
  EXPECT_THAT(message, ::testing::HasSubstr(path()));
  EXPECT_TRUE(db.put("a", "v"));
}

INSTANTIATE_TEST_SUITE_P(Shards, DrivenTest, ::testing::Values(1u, 2u));

}  // namespace
}  // namespace ashlar

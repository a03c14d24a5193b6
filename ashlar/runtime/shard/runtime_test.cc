#include "ashlar/runtime/shard/runtime.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/accept_stream.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/receive_stream.h"
#include "ashlar/runtime/ops/uring/uring_backend.h"
#include "ashlar/runtime/shard/test_threads.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar {
namespace {

class RuntimeOn : public ::testing::TestWithParam<BackendKind> {
 protected:
  void SetUp() override {
    if (GetParam() != BackendKind::uring) return;
    const auto probe = UringBackend::create();
    if (!probe) GTEST_SKIP() << "io_uring is not available: " << probe.error().to_string();
  }
  static RuntimeOptions options(unsigned shards) {
    return {.shards = shards, .pin = false, .backend = GetParam(), .shard = {}, .uring = {}, .epoll = {}};
  }
};

Task<Result<>> write_and_read(std::string path) {
  File file = CO_TRY(co_await File::open(path, O_RDWR | O_CREAT | O_TRUNC));
  const std::string text(100'000, 'x');
  CO_TRY(co_await file.write(as_bytes(text), 0));
  CO_TRY(co_await file.sync());
  std::string back(200'000, '\0');
  const std::size_t bytes =
      CO_TRY(co_await file.read({reinterpret_cast<std::byte*>(back.data()), back.size()}, 0));
  EXPECT_EQ(bytes, text.size());
  back.resize(bytes);
  EXPECT_EQ(back, text);
  CO_TRY(co_await file.resize(10));
  EXPECT_EQ(CO_TRY(file.bytes()), 10u);
  CO_TRY(co_await file.close());
  CO_TRY(co_await unlink_file(path));
  const auto gone = co_await File::open(path, O_RDONLY);
  EXPECT_FALSE(gone);
  if (!gone) EXPECT_EQ(gone.error().code, Errc::not_found);
  co_return Result<>{};
}

TEST_P(RuntimeOn, FileRoundTrip) {
  Runtime runtime(options(1));
  // Of this process: tests of several back ends may run at once.
  const std::string path = testing::TempDir() + "/ashlar_runtime_test." + std::to_string(::getpid());
  const auto result = runtime.run([&](Shard&) { return write_and_read(path); });
  EXPECT_TRUE(result) << result.error().to_string();
}

Task<Result<>> ask_neighbour(Shard& shard, unsigned shards) {
  const ShardId other{(shard.id().value + 1) % shards};
  for (int i = 0; i < 10'000; ++i) {
    const unsigned answer = co_await invoke(other, [] { return Shard::current().id().value; });
    EXPECT_EQ(answer, other.value);
  }
  const int slept = co_await invoke(other, []() -> Task<int> {
    EXPECT_TRUE(co_await sleep_for(std::chrono::milliseconds(1)));
    co_return 7;
  });
  EXPECT_EQ(slept, 7);
  co_return Result<>{};
}

TEST_P(RuntimeOn, WhereThereIsNoThreadItSaysSo) {
  const auto nothing = [](Shard&) -> Task<Result<>> { co_return Result<>{}; };
  {
    const NoThreads none;
    for (const bool driven : {false, true}) {
      RuntimeOptions wanted = options(3);
      if (driven) wanted.driven = 2;
      Runtime runtime(wanted);
      const auto result = runtime.run(nothing);
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, Errc::no_memory);
      EXPECT_EQ(result.error().to_string(),
                "start a thread: out of memory (EAGAIN: Resource temporarily unavailable)");
    }
  }
  Runtime runtime(options(3));
  EXPECT_TRUE(runtime.run(nothing));
}

TEST_P(RuntimeOn, ADrivenShardNeedsNoThread) {
  const NoThreads none;
  RuntimeOptions wanted = options(1);
  wanted.driven = 0;
  Runtime runtime(wanted);
  const std::string path = testing::TempDir() + "/ashlar_runtime_alone_test." + std::to_string(::getpid());
  const auto result = runtime.run([&](Shard&) { return write_and_read(path); });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST_P(RuntimeOn, ShardsAnswerEachOther) {
  Runtime runtime(options(3));
  EXPECT_TRUE(runtime.run([](Shard& shard) { return ask_neighbour(shard, 3); }));
}

Task<> echo(Socket socket) {
  ReceiveStream input(socket);
  for (;;) {
    auto bytes = co_await input.next();
    if (!bytes || bytes->empty()) break;
    if (!co_await socket.send(bytes->bytes())) break;
  }
  co_await input.stop();
}

Task<Result<>> echo_server_and_client() {
  Listener listener = CO_TRY(Listener::open(CO_TRY(Address::parse("127.0.0.1:0"))));
  const Address address = CO_TRY(listener.address());
  Socket client = CO_TRY(co_await Socket::connect(address));
  AcceptStream accepts(listener);
  Socket server = CO_TRY(co_await accepts.next());
  TaskScope scope;
  scope.spawn(echo(std::move(server)));

  const std::string text(3'000'000, 'y');
  scope.spawn([](const Socket& to, const std::string& what) -> Task<> {
    EXPECT_TRUE(co_await to.send(as_bytes(what)));
  }(client, text));
  std::string back(text.size(), '\0');
  ReceiveStream input(client);
  auto part = CO_TRY(co_await input.next());
  std::memcpy(back.data(), part.bytes().data(), part.bytes().size());
  const std::size_t had = part.bytes().size();
  part = {};
  CO_TRY(co_await input.read_exact({reinterpret_cast<std::byte*>(back.data()) + had, back.size() - had}));
  EXPECT_EQ(back, text);
  client.shutdown();
  auto end = co_await input.next();
  EXPECT_TRUE(end && end->empty());
  co_await input.stop();
  co_await accepts.stop();
  co_await scope.join();
  co_return Result<>{};
}

TEST_P(RuntimeOn, EchoesThroughMultishotAndExactReceive) {
  Runtime runtime(options(1));
  const auto result = runtime.run([](Shard&) { return echo_server_and_client(); });
  EXPECT_TRUE(result) << result.error().to_string();
}

TEST_P(RuntimeOn, StopsOnRequest) {
  Runtime runtime(options(2));
  std::thread stopper([&] { runtime.request_stop(); });
  EXPECT_TRUE(runtime.run([&](Shard&) -> Task<Result<>> { co_return co_await runtime.stop_event().wait(); }));
  stopper.join();
}

Task<Result<>> nap(Duration time) {
  CO_TRY(co_await sleep_for(time));
  co_return Result<>{};
}

// The last main to end wakes the other shards, which may be about to sleep.
TEST_P(RuntimeOn, EndsHoweverTheShardsHappenToBe) {
  for (unsigned i = 0; i < 300; ++i) {
    Runtime runtime(options(2));
    EXPECT_TRUE(runtime.run([i](Shard& shard) { return nap(Duration(1'000 * i * shard.id().value)); }));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, RuntimeOn, ::testing::Values(BackendKind::uring, BackendKind::epoll),
                         [](const auto& info) {
                           return info.param == BackendKind::uring ? "uring" : "epoll";
                         });

}  // namespace
}  // namespace ashlar

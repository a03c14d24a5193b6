/// Runs a world with everything in it (files, sockets, mesh, timers, faults, a power cut) in two other
/// processes with the same seed, and compares the digests of their traces. Separate processes differ in
/// addresses, in hash seeds and in time: whatever lets those into the order of events is found here.

#include <fcntl.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ashlar/base/random.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/accept_stream.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/receive_stream.h"
#include "ashlar/runtime/ops/sim/world.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::sim {
namespace {

constexpr unsigned shards = 3;
constexpr unsigned rounds = 30;

Address server_address() {
  return Address::parse("127.0.0.1:7000").value();
}

Task<Result<>> write_file(std::string path) {
  File file = CO_TRY(co_await File::open(path, O_RDWR | O_CREAT | O_DSYNC));
  CO_TRY(co_await sync_directory("/"));
  for (unsigned i = 0; i < rounds; ++i) {
    const std::string text(1 + Shard::current().random() % 5000, 'x');
    CO_TRY(co_await file.write(as_bytes(text), Shard::current().random() % 20'000));
    if (i % 5 == 0) CO_TRY(co_await rename_file(path, path + "'"));
    if (i % 5 == 0) path += "'";
  }
  co_return co_await file.close();
}

Task<> write_files(std::string path) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (co_await write_file(path + std::to_string(attempt))) co_return;
  }
}

Task<> ask_others(unsigned self) {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < rounds; ++i) {
    const ShardId other{(self + 1 + i % (shards - 1)) % shards};
    sum += co_await invoke(other, [] { return Shard::current().random(); });
    if (!co_await sleep_for(Duration(static_cast<Duration::rep>(sum % 100'000)))) co_return;
  }
}

Task<> echo(Socket socket) {
  ReceiveStream input(socket);
  for (;;) {
    auto received = co_await input.next();
    if (!received || received->empty()) break;
    if (!co_await socket.send(received->bytes())) break;
  }
  co_await input.stop();
}

Task<> serve() {
  auto listener = Listener::open(server_address());
  if (!listener) co_return;
  AcceptStream accepts(*listener);
  TaskScope connections;
  for (;;) {
    auto socket = co_await accepts.next();
    if (!socket) break;
    connections.spawn(echo(std::move(*socket)));
  }
  co_await accepts.stop();
  co_await connections.join();
}

Task<Result<>> talk() {
  const Socket socket = CO_TRY(co_await Socket::connect(server_address()));
  std::array<std::byte, 3000> buffer{};
  for (unsigned i = 0; i < rounds; ++i) {
    const MutableBytes part = MutableBytes(buffer).first(1 + Shard::current().random() % buffer.size());
    CO_TRY(co_await socket.send(part));
    CO_TRY(co_await socket.receive_all(part));
  }
  co_return Result<>{};
}

Task<> client() {
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (co_await talk()) co_return;
    if (!co_await sleep_for(std::chrono::milliseconds(1))) co_return;
  }
}

std::uint64_t run(std::uint64_t seed) {
  Disk disk;
  std::uint64_t digest = 0;
  for (std::uint64_t life = 0; life < 3; ++life) {
    WorldOptions options{.shards = shards, .environment = {.seed = seed + life}};
    options.environment.network.reset_one_in = 50;
    World world(options, disk);
    world.faults().set_chances({.fail_one_in = 40, .fail_read_one_in = 40, .slow_one_in = 20});
    world.faults().cut_at(100, FileVerdict::Cut::after);
    world.spawn(0, serve());
    for (unsigned id = 0; id < shards; ++id) {
      world.spawn(id, write_files("/" + std::to_string(id)));
      world.spawn(id, ask_others(id));
      world.spawn(id, client());
    }
    const auto outcome = world.run_until([&] { return !world.environment().powered(); });
    if (outcome != World::Outcome::done) world.environment().cut_power();
    world.cancel_all();
    EXPECT_EQ(world.run_to_end(), World::Outcome::done) << world.report();
    digest = digest * 31 + world.digest();
  }
  return digest;
}

std::uint64_t run_in_another_process(std::uint64_t seed) {
  char self[4096] = {};
  EXPECT_GT(readlink("/proc/self/exe", self, sizeof self - 1), 0);
  const std::string command = std::string(self) + " --digest " + std::to_string(seed);
  std::FILE* output = popen(command.c_str(), "r");
  unsigned long long digest = 0;
  EXPECT_EQ(std::fscanf(output, "%llx", &digest), 1);
  EXPECT_EQ(pclose(output), 0);
  return digest;
}

TEST(Digest, IsTheSameInTwoProcesses) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    const std::uint64_t first = run_in_another_process(seed);
    EXPECT_EQ(first, run_in_another_process(seed)) << seed;
    EXPECT_EQ(first, run(seed)) << seed;
    EXPECT_NE(first, run(seed + 10)) << seed;
  }
}

}  // namespace
}  // namespace ashlar::sim

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--digest") {
    const std::uint64_t digest = ashlar::sim::run(std::strtoull(argv[2], nullptr, 0));
    std::printf("%llx\n", static_cast<unsigned long long>(digest));
    return testing::UnitTest::GetInstance()->Failed() ? 1 : 0;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

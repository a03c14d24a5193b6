/// The simulated network: streams arrive whole and in order, however slow, fragmented or cut.

#include "ashlar/runtime/ops/sim/network.h"

#include <gtest/gtest.h>

#include "ashlar/runtime/ops/accept_stream.h"
#include "ashlar/runtime/ops/receive_stream.h"
#include "ashlar/runtime/ops/sim/world.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::sim {
namespace {

using Outcome = World::Outcome;

Address at(const char* text) {
  return Address::parse(text).value();
}

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

struct Exchange {
  std::string sent;
  std::string echoed;
  Result<> server = {};
  Result<> client = {};
  bool multishot = true;
};

Task<Result<>> echo(Socket socket, bool multishot) {
  if (!multishot) {
    std::array<std::byte, 1000> buffer;
    for (;;) {
      const std::size_t bytes = CO_TRY(co_await socket.receive(buffer));
      if (bytes == 0) co_return Result<>{};
      CO_TRY(co_await socket.send(Bytes(buffer).first(bytes)));
    }
  }
  ReceiveStream input(socket);
  Result<> result;
  for (;;) {
    auto received = co_await input.next();
    if (!received) result = std::unexpected(received.error());
    if (!received || received->empty()) break;
    result = co_await socket.send(received->bytes());
    if (!result) break;
  }
  co_await input.stop();
  co_return result;
}

Task<Result<>> serve_one(bool multishot, Address address) {
  const Listener listener = CO_TRY(Listener::open(address));
  AcceptStream accepts(listener);
  auto socket = co_await accepts.next();
  co_await accepts.stop();
  if (!socket) co_return std::unexpected(socket.error());
  co_return co_await echo(std::move(*socket), multishot);
}

Task<> serve(Exchange& exchange, Address address) {
  exchange.server = co_await serve_one(exchange.multishot, address);
}

Task<> send_all(const Socket& socket, const std::string& text, Result<>& result) {
  result = co_await socket.send(as_bytes(text));
}

Task<Result<>> talk(Exchange& exchange, Address address) {
  Socket socket = CO_TRY(co_await Socket::connect(address));
  TaskScope scope;
  Result<> sent;
  scope.spawn(send_all(socket, exchange.sent, sent));
  exchange.echoed.resize(exchange.sent.size());
  const auto received = co_await socket.receive_all(
      {reinterpret_cast<std::byte*>(exchange.echoed.data()), exchange.echoed.size()});
  co_await scope.join();
  CO_TRY(received);
  exchange.echoed.resize(*received);
  co_return sent;
}

Task<> run_client(Exchange& exchange, Address address) {
  exchange.client = co_await talk(exchange, address);
}

TEST(SimNetwork, EchoesThroughPoolAndMemory) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Disk disk;
    WorldOptions options{.shards = 2, .environment = {.seed = seed}};
    options.environment.receive_buffers = 2;  // starves, and goes on as buffers come back
    options.environment.receive_buffer_bytes = 512;
    options.environment.network.socket_buffer_bytes = 4096;
    World world(options, disk);
    Exchange exchange{.sent = pattern(30'000), .echoed = {}, .multishot = seed % 2 == 0};
    world.spawn(0, serve(exchange, at("127.0.0.1:7000")));
    ASSERT_EQ(world.run_until([&] { return world.shard(0).backend().in_flight() != 0; }), Outcome::done);
    world.spawn(1, run_client(exchange, at("127.0.0.1:7000")));
    ASSERT_EQ(world.run_to_end(), Outcome::done) << world.report();
    EXPECT_TRUE(exchange.server) << exchange.server.error().to_string();
    EXPECT_TRUE(exchange.client) << exchange.client.error().to_string();
    EXPECT_EQ(exchange.echoed, exchange.sent) << seed;
  }
}

TEST(SimNetwork, NobodyListensIsRefused) {
  Disk disk;
  World world({}, disk);
  Exchange exchange;
  world.spawn(0, run_client(exchange, at("127.0.0.1:7000")));
  ASSERT_EQ(world.run_to_end(), Outcome::done);
  ASSERT_FALSE(exchange.client);
  EXPECT_EQ(exchange.client.error().native, ECONNREFUSED);
}

TEST(SimNetwork, AResetReachesBothEnds) {
  Disk disk;
  WorldOptions options{.shards = 2};
  options.environment.network.reset_one_in = 3;
  World world(options, disk);
  Exchange exchange{.sent = pattern(200'000), .echoed = {}};
  world.spawn(0, serve(exchange, at("127.0.0.1:7000")));
  ASSERT_EQ(world.run_until([&] { return world.shard(0).backend().in_flight() != 0; }), Outcome::done);
  world.spawn(1, run_client(exchange, at("127.0.0.1:7000")));
  ASSERT_EQ(world.run_to_end(), Outcome::done) << world.report();
  EXPECT_FALSE(exchange.client);
  EXPECT_FALSE(exchange.server);
}

TEST(SimNetwork, APartitionHoldsBackAndHeals) {
  Disk disk;
  World world({.shards = 2, .hosts = {1, 2}}, disk);
  Exchange exchange{.sent = pattern(10'000), .echoed = {}};
  world.spawn(0, serve(exchange, at("10.0.0.1:7000")));
  ASSERT_EQ(world.run_until([&] { return world.shard(0).backend().in_flight() != 0; }), Outcome::done);
  world.network().partition(1, 2);
  world.spawn(1, run_client(exchange, at("10.0.0.1:7000")));
  const Instant start = world.now();
  ASSERT_EQ(world.run_until([&] { return world.now() > start + std::chrono::milliseconds(500); }),
            Outcome::done);
  EXPECT_EQ(world.shard(0).backend().in_flight(), 1u) << "still accepting";
  world.network().heal();
  ASSERT_EQ(world.run_to_end(), Outcome::done) << world.report();
  EXPECT_EQ(exchange.echoed, exchange.sent);
}

TEST(SimNetwork, PowerOffUnwindsWaitingTasks) {
  Disk disk;
  World world({.shards = 2}, disk);
  Exchange exchange;
  world.spawn(0, serve(exchange, at("127.0.0.1:7000")));
  ASSERT_EQ(world.run_until([&] { return world.shard(0).backend().in_flight() != 0; }), Outcome::done);
  world.environment().cut_power();
  ASSERT_EQ(world.run_to_end(), Outcome::done) << world.report();
  EXPECT_FALSE(exchange.server);
}

TEST(SimNetwork, ListenersShareAPortOnlyWhereAllWish) {
  Disk disk;
  World world({.shards = 2}, disk);
  auto& backend = world.shard(0).backend();
  const auto first = backend.listen(at("127.0.0.1:0"), {});
  ASSERT_TRUE(first);
  const Address address = backend.local_address(*first).value();
  EXPECT_NE(address.port(), 0);
  EXPECT_EQ(backend.listen(address, {.reuse_port = true}).error().native, EADDRINUSE);
  EXPECT_TRUE(backend.listen(at("127.0.0.1:7"), {.reuse_port = true}));
  EXPECT_TRUE(world.shard(1).backend().listen(at("127.0.0.1:7"), {.reuse_port = true}));
}

}  // namespace
}  // namespace ashlar::sim

/// F3 of the runtime: datagrams, sends without a copy, and files that go to sockets, on every back end.

#include <algorithm>
#include <string>
#include <vector>

#include "ashlar/base/units.h"
#include "ashlar/runtime/memory/regions.h"
#include "ashlar/runtime/ops/accept_stream.h"
#include "ashlar/runtime/ops/conformance.h"
#include "ashlar/runtime/ops/datagram.h"
#include "ashlar/runtime/ops/send_file.h"
#include "ashlar/runtime/sync/deadline.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar {
namespace {

using namespace ashlar::literals;
using testing::random_text;
using testing::writable;
using namespace std::chrono_literals;

class TransportConformance : public testing::Conformance {};
INSTANTIATE_TEST_SUITE_P(Backends, TransportConformance,
                         ::testing::Values(testing::Subject::uring, testing::Subject::uring_5_19,
                                           testing::Subject::uring_plain, testing::Subject::epoll,
                                           testing::Subject::simulated),
                         [](const auto& info) { return testing::to_string(info.param); });

struct Pair {
  Socket a, b;
};
Task<Result<Pair>> connected_pair(std::string address) {
  const Listener listener = CO_TRY(Listener::open(CO_TRY(Address::parse(address))));
  AcceptStream accepts(listener);
  Pair pair;
  pair.a = CO_TRY(co_await Socket::connect(CO_TRY(listener.address())));
  pair.b = CO_TRY(co_await accepts.next());
  co_await accepts.stop();
  co_return pair;
}

Task<Result<std::string>> receive_text(const Socket& socket, std::size_t bytes) {
  std::string text(bytes, '?');
  if (bytes != 0) text.resize(CO_TRY(co_await socket.receive_all(writable(text))));
  co_return text;
}

Task<Result<std::size_t>> send_zero_copy(const Socket& socket, const IoBuffer& buffer, std::size_t bytes) {
  CO_TRY(co_await socket.send_zero_copy(buffer, bytes));
  co_return bytes;
}

/// From a buffer, registered with the ring or not, in sizes from one byte to more than a socket holds.
Task<Result<>> sends_without_copy(std::string address, bool registered) {
  const Pair pair = CO_TRY(co_await connected_pair(std::move(address)));
  const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate(2_MiB));
  const std::string text = random_text(2_MiB, 11);
  std::ranges::copy(as_bytes(text), buffer.data());
  if (registered) {
    Regions& regions = Regions::process();
    regions.keep_pages(buffer.region());
    const Result<> added = Shard::current().backend().register_region(
        buffer.region(), {regions.at(buffer.region()).data, Region::bytes});
    if (!added) EXPECT_TRUE(added.error().code == Errc::unsupported || added.error().code == Errc::no_memory);
  }
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{4096}, std::size_t{70'000}, std::size_t{2_MiB}}) {
    auto [sent, received] =
        co_await when_all(send_zero_copy(pair.a, buffer, bytes), receive_text(pair.b, bytes));
    CO_TRY(std::move(sent));
    EXPECT_TRUE(CO_TRY(std::move(received)) == text.substr(0, bytes)) << bytes;
  }
  // What is not in the pool goes too.
  auto [sent, received] = co_await when_all(
      [](const Socket& to, Bytes from) -> Task<Result<>> { co_return co_await to.send_zero_copy(from); }(
                                           pair.a, as_bytes(text).first(100'000)),
      receive_text(pair.b, 100'000));
  CO_TRY(sent);
  EXPECT_TRUE(CO_TRY(std::move(received)) == text.substr(0, 100'000));
  pair.b.shutdown();
  co_return Result<>{};
}
TEST_P(TransportConformance, SendsWithoutACopyOverTcp) {
  run(sends_without_copy("127.0.0.1:0", false));
}
TEST_P(TransportConformance, SendsFromRegisteredMemory) {
  run(sends_without_copy("127.0.0.1:0", true));
}
TEST_P(TransportConformance, ASocketThatCannotSendWithoutACopyCopies) {
  run(sends_without_copy("unix:" + path("socket"), false));
}

Task<Result<std::size_t>> send_until_it_fails(const Socket& socket, const IoBuffer& buffer) {
  for (;;) CO_TRY(co_await socket.send_zero_copy(buffer, buffer.size()));
}
/// A peer that reads nothing and then goes: the send ends, and the memory is free again.
TEST_P(TransportConformance, AZeroCopySendEndsWithItsPeer) {
  run([]() -> Task<Result<>> {
    Pair pair = CO_TRY(co_await connected_pair("127.0.0.1:0"));
    const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate(2_MiB));
    const auto close_peer = [](Socket* peer) -> Task<Result<>> {
      (void)co_await sleep_for(5ms);
      *peer = Socket();
      co_return Result<>{};
    };
    auto [sent, closed] = co_await when_all(send_until_it_fails(pair.a, buffer), close_peer(&pair.b));
    EXPECT_FALSE(sent);
    co_return closed;
  }());
}

Task<Result<File>> file_of(const std::string& name, const std::string& text) {
  File file = CO_TRY(co_await File::open(name, O_RDWR | O_CREAT | O_TRUNC));
  CO_TRY(co_await file.write(as_bytes(text), 0));
  co_return file;
}

Task<Result<>> sends_files(std::string name, std::string address) {
  const std::string text = random_text(3_MiB + 123, 12);
  const File file = CO_TRY(co_await file_of(name, text));
  const Pair pair = CO_TRY(co_await connected_pair(std::move(address)));
  const struct {
    std::uint64_t offset, bytes, there;
  } cases[] = {{0, text.size(), text.size()},
               {1, 5, 5},
               {4'097, 2_MiB, 2_MiB},
               {3_MiB, 1'000'000, 123},  // beyond the end
               {5_MiB, 10, 0},
               {0, 0, 0}};
  for (const auto& part : cases) {
    auto [sent, received] =
        co_await when_all(send_file(pair.a, file, part.offset, part.bytes), receive_text(pair.b, part.there));
    EXPECT_EQ(CO_TRY(std::move(sent)), part.there);
    EXPECT_TRUE(CO_TRY(std::move(received)) == text.substr(std::min(part.offset, text.size()), part.there));
  }
  // Nothing came beside it.
  CO_TRY(co_await pair.a.send(as_bytes("end")));
  EXPECT_EQ(CO_TRY(co_await receive_text(pair.b, 3)), "end");
  co_return Result<>{};
}
TEST_P(TransportConformance, SendsFilesOverTcp) {
  run(sends_files(path("file"), "127.0.0.1:0"));
}
TEST_P(TransportConformance, SendsFilesOverUnixSockets) {
  run(sends_files(path("file"), "unix:" + path("socket")));
}

/// A peer that takes nothing: the send can be ended, and the next one on another socket is whole.
TEST_P(TransportConformance, SendingAFileCanBeCancelled) {
  run([](std::string name) -> Task<Result<>> {
    const std::string text = random_text(8_MiB, 13);
    const File file = CO_TRY(co_await file_of(name, text));
    for (int round = 0; round < 3; ++round) {
      const Pair stuck = CO_TRY(co_await connected_pair("127.0.0.1:0"));
      const auto late =
          co_await with_deadline(Shard::current().now() + 20ms, send_file(stuck.a, file, 0, text.size()));
      EXPECT_FALSE(late);
    }
    const Pair pair = CO_TRY(co_await connected_pair("127.0.0.1:0"));
    auto [sent, received] =
        co_await when_all(send_file(pair.a, file, 0, text.size()), receive_text(pair.b, text.size()));
    EXPECT_EQ(CO_TRY(std::move(sent)), text.size());
    EXPECT_TRUE(CO_TRY(std::move(received)) == text);
    co_return Result<>{};
  }(path("file")));
}

TEST_P(TransportConformance, SendingAFileToNobodyFails) {
  run([](std::string name) -> Task<Result<>> {
    const std::string text = random_text(4_MiB, 14);
    const File file = CO_TRY(co_await file_of(name, text));
    Pair pair = CO_TRY(co_await connected_pair("127.0.0.1:0"));
    pair.b = Socket();
    (void)co_await sleep_for(5ms);
    const auto sent = co_await send_file(pair.a, file, 0, text.size());
    EXPECT_FALSE(sent);
    if (!sent) EXPECT_EQ(sent.error().code, Errc::closed) << sent.error().to_string();
    co_return Result<>{};
  }(path("file")));
}

Task<Result<>> datagrams(std::string address_a, std::string address_b) {
  const DatagramSocket a = CO_TRY(DatagramSocket::open(CO_TRY(Address::parse(address_a))));
  const DatagramSocket b = CO_TRY(DatagramSocket::open(CO_TRY(Address::parse(address_b))));
  const Address to_a = CO_TRY(a.address()), to_b = CO_TRY(b.address());
  std::string memory(4096, '?');
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{1400}, std::size_t{0}, std::size_t{4096}}) {
    const std::string text = random_text(bytes, bytes);
    CO_TRY(co_await a.send_to(to_b, as_bytes(text)));
    const Datagram got = CO_TRY(co_await b.receive(writable(memory)));
    EXPECT_EQ(memory.substr(0, got.bytes), text);
    EXPECT_FALSE(got.truncated);
    EXPECT_EQ(got.from.to_string(), to_a.to_string());
    CO_TRY(co_await b.send_to(got.from, as_bytes("answer")));
    const Datagram answer = CO_TRY(co_await a.receive(writable(memory)));
    EXPECT_EQ(memory.substr(0, answer.bytes), "answer");
  }
  CO_TRY(co_await a.send_to(to_b, as_bytes("too much for ten")));
  const Datagram cut = CO_TRY(co_await b.receive(writable(memory).first(10)));
  EXPECT_TRUE(cut.truncated);
  EXPECT_EQ(memory.substr(0, cut.bytes), "too much f");
  EXPECT_FAILS(Errc::timed_out, co_await with_deadline(Shard::current().now() + 5ms,
                                                       [](const DatagramSocket& from,
                                                          MutableBytes into) -> Task<Result<Datagram>> {
                                                         co_return co_await from.receive(into);
                                                       }(b, writable(memory))));
  co_return Result<>{};
}
TEST_P(TransportConformance, DatagramsKeepTheirBoundsAndSenders) {
  run(datagrams("127.0.0.1:0", "127.0.0.1:0"));
}
TEST_P(TransportConformance, DatagramsOverUnixSockets) {
  run(datagrams("unix:" + path("a"), "unix:" + path("b")));
}

TEST_P(TransportConformance, DatagramErrorsOfSetUpAndSize) {
  run([]() -> Task<Result<>> {
    const DatagramSocket first = CO_TRY(DatagramSocket::open(CO_TRY(Address::parse("127.0.0.1:0"))));
    EXPECT_FAILS(Errc::busy, DatagramSocket::open(CO_TRY(first.address())));
    const std::string much(70'000, 'x');
    EXPECT_FAILS(Errc::too_large, co_await first.send_to(CO_TRY(first.address()), as_bytes(much)));
    co_return Result<>{};
  }());
}

TEST_P(TransportConformance, ManyDatagramsAtOnceArriveWhole) {
  run([]() -> Task<Result<>> {
    const DatagramSocket a = CO_TRY(DatagramSocket::open(CO_TRY(Address::parse("127.0.0.1:0"))));
    const DatagramSocket b = CO_TRY(DatagramSocket::open(CO_TRY(Address::parse("127.0.0.1:0"))));
    const Address to = CO_TRY(b.address());
    constexpr std::size_t count = 32;
    const auto send = [](const DatagramSocket& from, const Address& peer,
                         std::size_t n) -> Task<Result<int>> {
      const std::string text = random_text(1000, n);
      CO_TRY(co_await from.send_to(peer, as_bytes(text)));
      co_return 0;
    };
    const auto receive = [](const DatagramSocket& from, std::vector<std::string>* all) -> Task<Result<int>> {
      std::string text(2000, '?');
      text.resize(CO_TRY(co_await from.receive(writable(text))).bytes);
      all->push_back(std::move(text));
      co_return 0;
    };
    std::vector<std::string> got, expected;
    std::vector<Task<Result<int>>> tasks;
    for (std::size_t i = 0; i < count; ++i) {
      tasks.push_back(receive(b, &got));
      tasks.push_back(send(a, to, i));
      expected.push_back(random_text(1000, i));
    }
    for (const auto& result : co_await when_all(std::move(tasks))) CO_TRY(result);
    std::ranges::sort(got);
    std::ranges::sort(expected);
    EXPECT_EQ(got, expected);
    co_return Result<>{};
  }());
}

}  // namespace
}  // namespace ashlar

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/base/units.h"
#include "ashlar/runtime/ops/accept_stream.h"
#include "ashlar/runtime/ops/conformance.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/receive_stream.h"
#include "ashlar/runtime/ops/socket.h"
#include "ashlar/runtime/sync/deadline.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar {
namespace {

using namespace ashlar::literals;
using testing::random_text;
using testing::writable;
using namespace std::chrono_literals;

using testing::pool_buffers;

class SocketConformance : public testing::Conformance {};

/// Two connected sockets.
struct Pair {
  Socket a, b;
};
Task<Result<Pair>> connected_pair() {
  const Listener listener = CO_TRY(Listener::open(CO_TRY(Address::parse("127.0.0.1:0"))));
  AcceptStream accepts(listener);
  Pair pair;
  pair.a = CO_TRY(co_await Socket::connect(CO_TRY(listener.address())));
  pair.b = CO_TRY(co_await accepts.next());
  co_await accepts.stop();
  co_return pair;
}

Task<Result<>> send_all(const Socket* socket, std::string text) {
  co_return co_await socket->send(as_bytes(text));
}
Task<Result<>> send_then_end(const Socket* socket, std::string text) {
  CO_TRY(co_await socket->send(as_bytes(text)));
  socket->shutdown();
  co_return Result<>{};
}
/// Everything up to the end of the stream.
Task<Result<std::string>> receive_to_end(ReceiveStream* input) {
  std::string text;
  for (;;) {
    const ReceivedBytes bytes = CO_TRY(co_await input->next());
    if (bytes.empty()) co_return text;
    text += as_text(bytes.bytes());
  }
}

Task<Result<>> echo(Socket socket) {
  ReceiveStream input(socket);
  for (;;) {
    auto bytes = co_await input.next();
    if (!bytes || bytes->empty() || !co_await socket.send(bytes->bytes())) break;
  }
  co_await input.stop();
  co_return Result<>{};
}
Task<> serve(AcceptStream* accepts, TaskScope* scope, int* served) {
  const auto spawned = [](Socket socket) -> Task<> { (void)co_await echo(std::move(socket)); };
  while (auto socket = co_await accepts->next()) {
    ++*served;
    scope->spawn(spawned(*std::move(socket)));
  }
}
Task<Result<>> ask(Address server, std::size_t bytes, std::uint64_t seed) {
  const Socket socket = CO_TRY(co_await Socket::connect(server));
  const std::string text = random_text(bytes, seed);
  CO_TRY(co_await socket.send(as_bytes(text)));
  std::string back(bytes, '\0');
  EXPECT_EQ(CO_TRY(co_await socket.receive_all(writable(back))), bytes);
  EXPECT_EQ(back, text);
  co_return Result<>{};
}

TEST_P(SocketConformance, OneAcceptServesManyConnections) {
  run([]() -> Task<Result<>> {
    const Listener listener = CO_TRY(Listener::open(CO_TRY(Address::parse("127.0.0.1:0"))));
    const Address address = CO_TRY(listener.address());
    EXPECT_NE(address.port(), 0);
    AcceptStream accepts(listener);
    TaskScope scope;
    int served = 0;
    scope.spawn(serve(&accepts, &scope, &served));
    for (int round = 0; round < 3; ++round) {
      std::vector<Task<Result<>>> clients;
      for (std::uint64_t i = 0; i < 100; ++i) clients.push_back(ask(address, 1 + 20 * i, i));
      for (const Result<>& result : co_await when_all(std::move(clients))) CO_TRY(result);
    }
    EXPECT_EQ(served, 300);
    scope.cancel();
    co_await scope.join();
    co_await accepts.stop();
    co_return Result<>{};
  }());
}

TEST_P(SocketConformance, AddressesAndErrorsOfSetUp) {
  run([]() -> Task<Result<>> {
    Backend& backend = Shard::current().backend();
    Address free;
    {
      const Listener listener = CO_TRY(Listener::open(CO_TRY(Address::parse("127.0.0.1:0"))));
      free = CO_TRY(listener.address());
      const auto twice = Listener::open(free);
      EXPECT_FALSE(twice);
      EXPECT_EQ(twice.error().code, Errc::busy);
      AcceptStream accepts(listener);
      const Socket client = CO_TRY(co_await Socket::connect(free));
      const Socket server = CO_TRY(co_await accepts.next());
      EXPECT_EQ(CO_TRY(client.peer()).to_string(), free.to_string());
      EXPECT_EQ(CO_TRY(backend.local_address(client.handle())).to_string(),
                CO_TRY(server.peer()).to_string());
      co_await accepts.stop();
    }
    (void)co_await sleep_for(10ms);  // the listener closes in the background
    const auto refused = co_await Socket::connect(free);
    EXPECT_FALSE(refused);
    if (!refused) EXPECT_EQ(refused.error().native, ECONNREFUSED);
    EXPECT_FALSE(backend.local_address(Handle{}));
    co_return Result<>{};
  }());
}

TEST_P(SocketConformance, BothReceiveModesSeeTheSameStream) {
  run([]() -> Task<Result<>> {
    const Pair pair = CO_TRY(co_await connected_pair());
    const std::string text = random_text(1_MiB, 1);
    TaskScope scope;
    scope.spawn([](const Socket* socket, std::string sent) -> Task<> {
      EXPECT_TRUE(co_await send_then_end(socket, std::move(sent)));
    }(&pair.a, text));

    ReceiveStream input(pair.b);
    std::string back;
    Random random(2);
    while (back.size() < text.size()) {
      if (random.one_in(2)) {
        const ReceivedBytes bytes = CO_TRY(co_await input.next());
        EXPECT_FALSE(bytes.empty());
        if (bytes.empty()) break;
        back += as_text(bytes.bytes());
      } else {
        std::string exact(std::min<std::size_t>(random.skewed(1, 100'000), text.size() - back.size()), '\0');
        CO_TRY(co_await input.read_exact(writable(exact)));
        back += exact;
      }
    }
    EXPECT_TRUE(back == text);
    std::string beyond(1, '\0');
    const auto end = co_await input.read_exact(writable(beyond));
    EXPECT_FALSE(end);
    EXPECT_EQ(end.error().code, Errc::closed);
    EXPECT_TRUE(CO_TRY(co_await input.next()).empty()) << "the end stays the end";
    co_await input.stop();
    co_await scope.join();
    co_return Result<>{};
  }());
}

TEST_P(SocketConformance, PlainReceiveTakesWhatIsThereOrAll) {
  run([]() -> Task<Result<>> {
    const Pair pair = CO_TRY(co_await connected_pair());
    std::string some(100, '\0');
    CO_TRY(co_await pair.a.send(as_bytes("hello")));
    EXPECT_EQ(CO_TRY(co_await pair.b.receive(writable(some))), 5u);
    auto [sent, received] =
        co_await when_all(send_then_end(&pair.a, "bye"), [](const Socket* from) -> Task<Result<std::size_t>> {
          std::string all(100, '\0');
          co_return co_await from->receive_all(writable(all));
        }(&pair.b));
    CO_TRY(sent);
    EXPECT_EQ(CO_TRY(received), 3u) << "fewer only at the end";
    EXPECT_EQ(CO_TRY(co_await pair.b.receive(writable(some))), 0u);
    co_return Result<>{};
  }());
}

TEST_P(SocketConformance, SendsManyVectorsAsOneStream) {
  run([]() -> Task<Result<>> {
    const Pair pair = CO_TRY(co_await connected_pair());
    std::string text = random_text(2_MiB, 3);
    std::vector<iovec> vectors;
    Random random(4);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t bytes = std::min<std::size_t>(random.below(2'000), text.size() - at);
      vectors.push_back({text.data() + at, bytes});
      at += bytes;
    }
    EXPECT_GT(vectors.size(), 1'500u);
    ReceiveStream input(pair.b);
    auto [sent, received] = co_await when_all(
        [](const Socket* socket, std::span<iovec> parts) -> Task<Result<>> {
          CO_TRY(co_await socket->send(parts));
          socket->shutdown();
          co_return Result<>{};
        }(&pair.a, vectors),
        receive_to_end(&input));
    CO_TRY(sent);
    EXPECT_TRUE(CO_TRY(received) == text);
    co_await input.stop();
    co_return Result<>{};
  }());
}

/// Sends signals all the time, to the thread that made it and to whichever thread of the process takes them.
/// Their handler does nothing and restarts no system call; it stays, since one may still be on its way.
class Interruptions {
 public:
  Interruptions() {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    sigaction(SIGUSR1, &action, nullptr);
    sender_ = std::jthread([thread = pthread_self()](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        pthread_kill(thread, SIGUSR1);
        ::kill(::getpid(), SIGUSR1);
        std::this_thread::sleep_for(50us);
      }
    });
  }

 private:
  std::jthread sender_;
};

TEST_P(SocketConformance, SignalsInterruptNothing) {
  std::optional<Interruptions> interruptions;
  if (!simulated()) interruptions.emplace();
  run([](std::string name) -> Task<Result<>> {
    const std::string text = random_text(2_MiB, 7);
    for (int round = 0; round < 5; ++round) {
      File file = CO_TRY(co_await File::open(name, O_RDWR | O_CREAT | O_TRUNC));
      CO_TRY(co_await file.write(as_bytes(text), 0, true));
      CO_TRY(co_await file.sync());
      std::string read(text.size(), '?');
      EXPECT_EQ(CO_TRY(co_await file.read(writable(read), 0)), text.size());
      EXPECT_TRUE(read == text);
      CO_TRY(co_await file.close());

      const Pair pair = CO_TRY(co_await connected_pair());
      ReceiveStream input(pair.b);
      auto [sent, received] = co_await when_all(
          [](const Socket* socket, const std::string* all) -> Task<Result<>> {
            CO_TRY(co_await sleep_for(2ms));
            CO_TRY(co_await socket->send(as_bytes(*all)));
            socket->shutdown();
            co_return Result<>{};
          }(&pair.a, &text),
          receive_to_end(&input));
      CO_TRY(sent);
      EXPECT_TRUE(CO_TRY(received) == text);
      co_await input.stop();
    }
    co_return Result<>{};
  }(path("file")));
}

TEST_P(SocketConformance, AConsumerThatStopsHoldsThePeerBackAndLosesNothing) {
  run([]() -> Task<Result<>> {
    const Pair pair = CO_TRY(co_await connected_pair());
    const Pair other = CO_TRY(co_await connected_pair());
    const std::string text = random_text(32_MiB, 5);
    bool sent = false;
    TaskScope scope;
    scope.spawn([](const Socket* socket, const std::string* all, bool* done) -> Task<> {
      EXPECT_TRUE(co_await socket->send(as_bytes(*all)));
      socket->shutdown();
      *done = true;
    }(&pair.a, &text, &sent));

    // The pool of the shard is smaller than what arrives here and is not read.
    ReceiveStream input(pair.b);
    ReceivedBytes first = CO_TRY(co_await input.next());
    std::string back(as_text(first.bytes()));
    first = ReceivedBytes();
    (void)co_await sleep_for(50ms);
    EXPECT_FALSE(sent) << "more than the socket's buffers hold";

    // Another connection is served meanwhile.
    ReceiveStream served(other.b);
    CO_TRY(co_await other.a.send(as_bytes("w")));
    EXPECT_EQ(as_text(CO_TRY(co_await served.next()).bytes()), "w");

    back += CO_TRY(co_await receive_to_end(&input));
    EXPECT_TRUE(back == text);
    co_await input.stop();
    co_await served.stop();
    co_await scope.join();
    co_return Result<>{};
  }());
}

TEST_P(SocketConformance, ManySmallUnreadPiecesTakeNoBufferFromOthers) {
  run([]() -> Task<Result<>> {
    const Pair pair = CO_TRY(co_await connected_pair());
    const Pair other = CO_TRY(co_await connected_pair());
    ReceiveStream input(pair.b), served(other.b);
    CO_TRY(co_await pair.a.send(as_bytes("x")));
    EXPECT_EQ(as_text(CO_TRY(co_await input.next()).bytes()), "x");
    for (unsigned i = 0; i < 4 * pool_buffers; ++i) {
      CO_TRY(co_await pair.a.send(as_bytes("y")));
      (void)co_await sleep_for(1ms);
    }
    CO_TRY(co_await other.a.send(as_bytes("w")));
    EXPECT_EQ(as_text(CO_TRY(co_await served.next()).bytes()), "w");
    std::string read;
    while (read.size() < 4 * pool_buffers) read += as_text(CO_TRY(co_await input.next()).bytes());
    EXPECT_EQ(read, std::string(4 * pool_buffers, 'y'));
    co_await input.stop();
    co_await served.stop();
    co_return Result<>{};
  }());
}

TEST_P(SocketConformance, AReceiveThatFindsNoBufferGoesOnWhenOneComesBack) {
  run([]() -> Task<Result<>> {
    const Pair pair = CO_TRY(co_await connected_pair());
    const Pair other = CO_TRY(co_await connected_pair());
    ReceiveStream input(pair.b), starved(other.b);
    std::vector<ReceivedBytes> held;
    for (unsigned i = 0; i < pool_buffers; ++i) {
      CO_TRY(co_await pair.a.send(as_bytes("x")));
      held.push_back(CO_TRY(co_await input.next()));
    }
    CO_TRY(co_await other.a.send(as_bytes("w")));
    auto [text, released] = co_await when_all(
        [](ReceiveStream* stream) -> Task<Result<std::string>> {
          const ReceivedBytes bytes = CO_TRY(co_await stream->next());
          co_return std::string(as_text(bytes.bytes()));
        }(&starved),
        [](std::vector<ReceivedBytes>* buffers) -> Task<bool> {
          (void)co_await sleep_for(10ms);
          buffers->clear();
          co_return true;
        }(&held));
    EXPECT_EQ(CO_TRY(std::move(text)), "w");
    EXPECT_TRUE(released);
    co_await input.stop();
    co_await starved.stop();
    co_return Result<>{};
  }());
}

TEST_P(SocketConformance, ReportsAPeerThatIsGone) {
  run([]() -> Task<Result<>> {
    Pair pair = CO_TRY(co_await connected_pair());
    CO_TRY(co_await pair.b.send(as_bytes("never read")));
    (void)co_await sleep_for(5ms);
    {
      const Socket gone = std::move(pair.a);
    }  // with unread bytes: a reset
    Result<> sent;
    for (int i = 0; i < 1'000 && sent; ++i) {
      sent = co_await pair.b.send(as_bytes("x"));
      (void)co_await sleep_for(1ms);
    }
    EXPECT_FALSE(sent);
    EXPECT_EQ(sent.error().code, Errc::closed) << sent.error().to_string();
    co_return Result<>{};
  }());
}

TEST_P(SocketConformance, ShutdownEndsThePendingReceivesOfBothSides) {
  run([]() -> Task<Result<>> {
    const Pair pair = CO_TRY(co_await connected_pair());
    ReceiveStream mine(pair.a), theirs(pair.b);
    auto [a, b, ended] =
        co_await when_all(receive_to_end(&mine), receive_to_end(&theirs), [](const Socket* socket) -> Task<> {
          (void)co_await sleep_for(5ms);
          socket->shutdown();
        }(&pair.a));
    EXPECT_EQ(CO_TRY(std::move(a)), "");
    EXPECT_EQ(CO_TRY(std::move(b)), "");
    co_await mine.stop();
    co_await theirs.stop();
    co_return Result<>{};
  }());
}

TEST_P(SocketConformance, CancelsEveryWait) {
  run([]() -> Task<Result<>> {
    const Listener listener = CO_TRY(Listener::open(CO_TRY(Address::parse("127.0.0.1:0"))));
    const Pair pair = CO_TRY(co_await connected_pair());
    const auto soon = [] { return Shard::current().now() + 5ms; };

    AcceptStream accepts(listener);
    auto accepted = co_await with_deadline(soon(), [](AcceptStream* stream) -> Task<Result<Socket>> {
      co_return co_await stream->next();
    }(&accepts));
    EXPECT_EQ(accepted.error().code, Errc::timed_out);
    co_await accepts.stop();

    ReceiveStream input(pair.b);
    auto next = co_await with_deadline(soon(), receive_to_end(&input));
    EXPECT_EQ(next.error().code, Errc::timed_out);
    co_await input.stop();

    auto received = co_await with_deadline(soon(), [](const Socket* socket) -> Task<Result<std::size_t>> {
      std::string text(10, '\0');
      co_return co_await socket->receive_all(writable(text));
    }(&pair.b));
    EXPECT_EQ(received.error().code, Errc::timed_out);

    const auto sent = co_await with_deadline(soon(), send_all(&pair.a, std::string(64_MiB, 'x')));
    EXPECT_FALSE(sent) << "nobody reads";
    EXPECT_EQ(sent.error().code, Errc::timed_out);
    co_return Result<>{};
  }());
}

TEST_P(SocketConformance, AWaitThatWasCancelledLosesNoByte) {
  run([]() -> Task<Result<>> {
    const Pair pair = CO_TRY(co_await connected_pair());
    ReceiveStream input(pair.b);
    std::string back;
    const auto receive = [](ReceiveStream* stream, std::string* into) -> Task<Result<>> {
      const ReceivedBytes bytes = CO_TRY(co_await stream->next());
      *into += as_text(bytes.bytes());
      co_return Result<>{};
    };
    std::string text;
    for (int i = 0; i < 200; ++i) {
      const std::string part = std::to_string(i) + ' ';
      text += part;
      CO_TRY(co_await pair.a.send(as_bytes(part)));
      const auto result =
          co_await with_deadline(Shard::current().now() + Duration(i * 100), receive(&input, &back));
      if (!result) EXPECT_EQ(result.error().code, Errc::timed_out);
    }
    while (back.size() < text.size()) CO_TRY(co_await receive(&input, &back));
    EXPECT_EQ(back, text);
    co_await input.stop();
    co_return Result<>{};
  }());
}

Task<Result<>> expect_one(ReceiveStream* input, std::string expected) {
  EXPECT_EQ(as_text(CO_TRY(co_await input->next()).bytes()), expected);
  co_return Result<>{};
}
Task<Result<>> busy_beside(std::vector<Pair>* idle) {
  CO_TRY(co_await sleep_for(5ms));  // the idle ones wait by now
  const Pair busy = CO_TRY(co_await connected_pair());
  ReceiveStream input(busy.b);
  const std::string text = random_text(20 * pool_buffers * testing::pool_buffer_bytes, 1);
  TaskScope sending;
  sending.spawn(
      [](Task<Result<>> sent) -> Task<> { EXPECT_TRUE(co_await sent); }(send_then_end(&busy.a, text)));
  const auto received = co_await receive_to_end(&input);
  co_await sending.join();
  EXPECT_TRUE(CO_TRY(received) == text);
  co_await input.stop();
  for (Pair& pair : *idle) CO_TRY(co_await pair.a.send(as_bytes("!")));
  co_return Result<>{};
}

TEST_P(SocketConformance, IdleConnectionsHoldNoBuffer) {
  run([]() -> Task<Result<>> {
    std::vector<Pair> idle;
    std::vector<std::unique_ptr<ReceiveStream>> inputs;
    for (unsigned i = 0; i < 3 * pool_buffers; ++i) idle.push_back(CO_TRY(co_await connected_pair()));
    std::vector<Task<Result<>>> tasks;
    for (Pair& pair : idle) {
      inputs.push_back(std::make_unique<ReceiveStream>(pair.b));
      tasks.push_back(expect_one(inputs.back().get(), "!"));
    }
    tasks.push_back(busy_beside(&idle));
    const auto results = co_await when_all(std::move(tasks));
    for (const auto& input : inputs) co_await input->stop();
    for (const Result<>& result : results) CO_TRY(result);
    co_return Result<>{};
  }());
}

INSTANTIATE_TEST_SUITE_P(Backends, SocketConformance,
                         ::testing::Values(testing::Subject::uring, testing::Subject::uring_5_19,
                                           testing::Subject::uring_plain, testing::Subject::epoll,
                                           testing::Subject::simulated),
                         [](const auto& info) { return testing::to_string(info.param); });

}  // namespace
}  // namespace ashlar

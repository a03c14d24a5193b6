/// Commands as clients see them: request bytes in, reply bytes out, on a store in memory.

#include "ashlar/server/resp/pipeline.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "ashlar/base/random.h"
#include "ashlar/runtime/sync/test_shard.h"
#include "ashlar/server/resp/reply_parser.h"
#include "ashlar/server/resp/request_parser.h"
#include "ashlar/server/resp/test_store.h"

namespace ashlar::resp {
namespace {

using namespace std::string_literals;
using testing::TestPartition;
using testing::TestStore;

class Commands : public ::testing::Test {
 protected:
  explicit Commands(std::uint32_t partitions = 1) : store_(partitions) {
    cluster_.store = &store_;
    cluster_.run_id = std::string(40, 'a');
    service_.emplace(cluster_, ShardId(0), Settings{});
  }
  ~Commands() override {
    for (auto& client : clients_) client->leave(*service_);
    clients_.clear();
    service_.reset();
  }
  Commands(std::uint32_t partitions, const Settings& settings) : store_(partitions) {
    cluster_.store = &store_;
    service_.emplace(cluster_, ShardId(0), settings);
  }

  struct Client {
    explicit Client(Service& service) : pipeline(service, session) { service.enter(session); }
    void leave(Service& service) { service.leave(session); }
    Session session;
    Pipeline pipeline;
  };
  Client& connect() {
    cluster_.services.assign(1, &*service_);
    return *clients_.emplace_back(std::make_unique<Client>(*service_));
  }
  Client& client() { return clients_.empty() ? connect() : *clients_.front(); }

  static Task<> batch(Client* to, std::string* input, Service* service,
                      std::size_t ahead = RequestGroup::requests_max) {
    RequestParser parser;
    MutableBytes unread(reinterpret_cast<std::byte*>(input->data()), input->size());
    while (!unread.empty()) {
      RequestGroup& group = service->group();
      group.parse(parser, unread, to->session.reply_mode == ReplyMode::on ? ahead : 1);
      to->pipeline.expect(group.requests());
      for (std::span<Request> left = group.requests(); !left.empty();) {
        const std::size_t ran = to->pipeline.run(left);
        if (ran == 0) {
          parser.restart();
          parser.parse(unread);
          co_await to->pipeline.run_alone(parser.arguments());
          unread = unread.subspan(parser.consumed());
          break;
        }
        for (const Request& request : left.first(ran)) unread = unread.subspan(request.bytes);
        left = left.subspan(ran);
      }
      parser.restart();
    }
    co_await to->pipeline.finish();
  }
  /// Inline commands, one for each line, the way libraries send them.
  static std::string encode(std::string text) {
    std::string encoded;
    text += "\r\n";
    RequestParser parser;
    MutableBytes unread(reinterpret_cast<std::byte*>(text.data()), text.size());
    while (parser.parse(unread) == RequestParser::Status::complete) {
      if (!parser.arguments().empty()) encoded += "*" + std::to_string(parser.arguments().size()) + "\r\n";
      for (const std::string_view argument : parser.arguments()) {
        encoded += "$" + std::to_string(argument.size()) + "\r\n" + std::string(argument) + "\r\n";
      }
      unread = unread.subspan(parser.consumed());
    }
    return encoded;
  }

  /// Runs inline commands, one for each line, as one batch, and returns the replies' bytes.
  std::string run(Client& client, std::string text, std::size_t ahead = RequestGroup::requests_max) {
    text = encode(std::move(text));
    shard_.run(batch(&client, &text, &*service_, ahead));
    return client.pipeline.out().take_text();
  }
  std::string run(std::string text) { return run(client(), std::move(text)); }
  TestPartition& partition(std::string_view key) {
    return static_cast<TestPartition&>(store_.partition_for(kv::StoredKey(key)));
  }

  ashlar::testing::TestShard shard_;
  TestStore store_;
  Cluster cluster_;
  std::optional<Service> service_;
  std::vector<std::unique_ptr<Client>> clients_;
};

TEST_F(Commands, SetAndGet) {
  EXPECT_EQ(run("set k hello\nget k\nGET nothing\nstrlen k\nset k 2 nx\nset k 3 xx get\nget k"),
            "+OK\r\n$5\r\nhello\r\n$-1\r\n:5\r\n$-1\r\n$5\r\nhello\r\n$1\r\n3\r\n");
  EXPECT_EQ(run("setnx k 1\nsetnx k2 1\ngetset k2 2\ngetdel k2\nget k2\nappend k 45\nappend new x"),
            ":0\r\n:1\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n:3\r\n:1\r\n");
  EXPECT_EQ(run("getrange k 0 -2\ngetrange k 5 9\ngetrange k -2 -1\nsetrange k 1 XY\nget k\nsetrange pad 3 "
                "x\nget pad"),
            "$2\r\n34\r\n$0\r\n\r\n$2\r\n45\r\n:3\r\n$3\r\n3XY\r\n:4\r\n$4\r\n\0\0\0x\r\n"s);
}

TEST_F(Commands, Counters) {
  EXPECT_EQ(run("incr n\nincrby n 10\ndecr n\ndecrby n 5\nget n"), ":1\r\n:11\r\n:10\r\n:5\r\n$1\r\n5\r\n");
  EXPECT_EQ(run("set n abc\nincr n\nset n 9223372036854775807\nincr n\ndecrby n -9223372036854775808"),
            "+OK\r\n-ERR value is not an integer or out of range\r\n+OK\r\n-ERR increment or decrement would "
            "overflow\r\n-ERR decrement would overflow\r\n");
  EXPECT_EQ(run("set f 10.50\nincrbyfloat f 0.1\nincrbyfloat f -5\nset f 5.0e3\nincrbyfloat f "
                "200\nincrbyfloat f x"),
            "+OK\r\n$4\r\n10.6\r\n$3\r\n5.6\r\n+OK\r\n$4\r\n5200\r\n-ERR value is not a valid float\r\n");
}

TEST_F(Commands, SeveralKeys) {
  EXPECT_EQ(
      run("mset a 1 b 2 a 3\nmget a b c\nexists a a c\ndel a a b\nmget a b\nmsetnx a 1 b 2\nmsetnx b 3 c 4"),
      "+OK\r\n*3\r\n$1\r\n3\r\n$1\r\n2\r\n$-1\r\n:2\r\n:2\r\n*2\r\n$-1\r\n$-1\r\n:1\r\n:0\r\n");
  EXPECT_EQ(run("mset a 1 b\nrename a z\nget z\nrename a y\nrenamenx z b\ntouch a z"),
            "-ERR wrong number of arguments for 'mset' command\r\n+OK\r\n$1\r\n1\r\n-ERR no such "
            "key\r\n:0\r\n:1\r\n");
}

TEST_F(Commands, Expiry) {
  TestPartition& data = partition("k");
  data.now = 0;  // the shard's wall clock stands at zero in this test
  EXPECT_EQ(
      run("set k v ex 100\nttl k\npttl k\nexpiretime k\nset k w keepttl\nttl k\npersist k\nttl k\nttl no"),
      "+OK\r\n:100\r\n:100000\r\n:100\r\n+OK\r\n:100\r\n:1\r\n:-1\r\n:-2\r\n");
  EXPECT_EQ(run("expire k 10 xx\nexpire k 10 nx\nexpire k 5 gt\nexpire k 20 gt\nexpire k 30 lt\nexpire k 9 "
                "lt\nttl k"),
            ":0\r\n:1\r\n:0\r\n:1\r\n:0\r\n:1\r\n:9\r\n");
  EXPECT_EQ(
      run("expire k 1 nx gt\nexpire k 1 gt lt\nexpire k 1 foo\nexpire k x\nexpire k 9223372036854775807"),
      "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n-ERR GT and LT options at the "
      "same time are not compatible\r\n-ERR Unsupported option foo\r\n-ERR value is not an integer or out of "
      "range\r\n-ERR invalid expire time in 'expire' command\r\n");
  EXPECT_EQ(run("expire k -1\nget k\nsetex k 10 v\ngetex k persist\nttl k\ngetex k ex 7\nttl k"),
            ":1\r\n$-1\r\n+OK\r\n$1\r\nv\r\n:-1\r\n$1\r\nv\r\n:7\r\n");
  data.now = 8'000;
  EXPECT_EQ(run("get k\nttl k\nexists k\ntype k\nset k 1\ntype k"),
            "$-1\r\n:-2\r\n:0\r\n+none\r\n+OK\r\n+string\r\n");
}

TEST_F(Commands, HttpIsHungUpOn) {
  EXPECT_EQ(run("get / http/1.1\nHost: localhost"), "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_TRUE(client().session.close_after_reply);
}

TEST_F(Commands, ErrorsAreRedis) {
  EXPECT_EQ(run("foo a b"), "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n");
  EXPECT_EQ(run("get"), "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(run("select 1\nselect x\nselect 0"),
            "-ERR DB index is out of range\r\n-ERR value is not an integer or out of range\r\n+OK\r\n");
  EXPECT_EQ(run("get " + std::string(65'000, 'k') + std::string(533, 'k')),
            "-ERR key is longer than 65532 bytes\r\n");
}

TEST_F(Commands, Handshake) {
  EXPECT_EQ(run("ping\nping x\necho y\nauth a"),
            "+PONG\r\n$1\r\nx\r\n$1\r\ny\r\n-ERR AUTH <password> called without any password configured for "
            "the default "
            "user. Are you sure your configuration is correct?\r\n");
  EXPECT_EQ(run("hello 4\nhello 3 foo"),
            "-NOPROTO unsupported protocol version\r\n-ERR Syntax error in HELLO option 'foo'\r\n");
  EXPECT_EQ(run("hello 3 setname me\nget nothing\nclient getname").substr(0, 4), "%7\r\n");
  EXPECT_EQ(run("get nothing\nclient getname\nclient id\nreset\nget nothing"),
            "_\r\n$2\r\nme\r\n:1\r\n+RESET\r\n$-1\r\n");
  EXPECT_EQ(run("quit"), "+OK\r\n");
  EXPECT_TRUE(client().session.close_after_reply);
}

class Guarded : public Commands {
 protected:
  static Settings settings() {
    Settings settings;
    settings.options.password = "secret";
    return settings;
  }
  Guarded() : Commands(1, settings()) {}
};

TEST_F(Guarded, NothingWithoutThePassword) {
  EXPECT_EQ(
      run("get k\nhello 3\nauth wrong\nauth default wrong\nping"),
      "-NOAUTH Authentication required.\r\n-NOAUTH HELLO must be called with the client already "
      "authenticated, "
      "otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and "
      "select the "
      "RESP protocol version at the same time\r\n-WRONGPASS invalid username-password pair or user is "
      "disabled.\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH Authentication "
      "required.\r\n");
  EXPECT_EQ(run("auth secret\nget k"), "+OK\r\n$-1\r\n");
}

TEST_F(Commands, RepliesWaitForDurability) {
  TestPartition& data = partition("k");
  data.hold_durability = true;
  Client& me = client();
  bool done = false;
  const auto run_all = [](Client* to, std::string* input, Service* service, bool* flag) -> Task<> {
    co_await batch(to, input, service);
    *flag = true;
  };
  std::string text = encode("set k v\nget k\nping");
  shard_->scope().spawn(run_all(&me, &text, &*service_, &done), Share::foreground);
  shard_.settle();
  EXPECT_FALSE(done);
  data.make_durable();
  shard_.settle();
  EXPECT_TRUE(done);
  EXPECT_EQ(me.pipeline.out().take_text(), "+OK\r\n$1\r\nv\r\n+PONG\r\n");
}

TEST_F(Commands, AFailedLogIsToldToWhomItConcerns) {
  TestPartition& data = partition("k");
  run("set old 1");
  data.hold_durability = true;
  Client& me = client();
  std::string input = encode("get old\nset k v\nset l w\nset k x\nget old\nget k");
  shard_->scope().spawn(batch(&me, &input, &*service_), Share::foreground);
  shard_.settle();
  data.fail_log();
  shard_.settle();
  const std::string text = me.pipeline.out().take_text();
  EXPECT_TRUE(text.starts_with("$1\r\n1\r\n-MISCONF ")) << text;
  EXPECT_NE(text.find("\r\n$1\r\n1\r\n-MISCONF "), std::string::npos) << text;
  std::size_t errors = 0;
  for (std::size_t at = 0; (at = text.find("-MISCONF ", at)) != text.npos; ++at) ++errors;
  EXPECT_EQ(errors, 4u) << "three SETs of one batch, and a GET: " << text;
  EXPECT_TRUE(run("get k").starts_with("-MISCONF")) << "what was never durable is never shown";
  EXPECT_TRUE(run("set x 1").starts_with("-MISCONF"));
  EXPECT_EQ(run("get old"), "$1\r\n1\r\n");
}

TEST_F(Commands, SetsThatFollowEachOtherAreOneBatch) {
  TestPartition& data = partition("a");
  EXPECT_EQ(run("set a 1\nset b 2\nset a 3\nget a\nset c 4 ex 100\nset d 5\nset e"),
            "+OK\r\n+OK\r\n+OK\r\n$1\r\n3\r\n+OK\r\n+OK\r\n-ERR wrong number of arguments for 'set' "
            "command\r\n");
  EXPECT_EQ(data.appends, 3u);
  EXPECT_EQ(run("multi\nset a 4\nset b 5\nexec\nmget a b"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n*2\r\n$1\r\n4\r\n$1\r\n5\r\n");
  EXPECT_EQ(run("set a " + std::string(800'000, 'x') + "\nset b " + std::string(800'000, 'y') + "\nstrlen b"),
            "+OK\r\n+OK\r\n:800000\r\n");
  data.refuse = Error{Errc::no_space, 28, "log append"};
  const std::string refused = run("set a 1\nset b 2\nping");
  EXPECT_TRUE(refused.starts_with("-MISCONF log append: ")) << refused;
  EXPECT_NE(refused.find("\r\n-MISCONF log append: "), std::string::npos) << refused;
  EXPECT_TRUE(refused.ends_with("\r\n+PONG\r\n")) << refused;
}

TEST_F(Commands, AFullDiskFailsTheWriteOnly) {
  run("set k 1");
  partition("k").refuse = Error{Errc::no_space, 28, "log append"};
  EXPECT_TRUE(run("set k 2").starts_with("-MISCONF log append: "));
  EXPECT_TRUE(run("incr k").starts_with("-MISCONF"));
  EXPECT_EQ(run("get k"), "$1\r\n1\r\n");
}

TEST_F(Commands, MissesKeepTheirPlace) {
  run("mset a 1 b 2 c 3");
  partition("a").on_device = {"a", "c"};
  EXPECT_EQ(run("get a\nget b\nget c\nping\nincr a\nget a\nincr b"),
            "$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n+PONG\r\n:2\r\n$1\r\n2\r\n:3\r\n");
  partition("a").on_device = {"a", "b"};
  EXPECT_EQ(run("incr a\nmget a b c\ndel a b\nget a"),
            ":3\r\n*3\r\n$1\r\n3\r\n$1\r\n3\r\n$1\r\n3\r\n:2\r\n$-1\r\n");
}

TEST_F(Commands, Transactions) {
  EXPECT_EQ(run("multi\nset a 1\nincr a\nping\nget a\nmget a b\nexec\nget a"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*5\r\n+OK\r\n:2\r\n+PONG\r\n$"
            "1\r\n2\r\n*2\r\n"
            "$1\r\n2\r\n$-1\r\n$1\r\n2\r\n");
  EXPECT_EQ(run("exec\ndiscard\nmulti\nmulti\nwatch a\nset a 9\ndiscard\nget a"),
            "-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n+OK\r\n-ERR MULTI calls can not be "
            "nested\r\n-ERR "
            "WATCH inside MULTI is not allowed\r\n+QUEUED\r\n+OK\r\n$1\r\n2\r\n");
  EXPECT_EQ(run("multi\nget\nset a 5\nexec\nget a"),
            "+OK\r\n-ERR wrong number of arguments for 'get' command\r\n+QUEUED\r\n-EXECABORT Transaction "
            "discarded "
            "because of previous errors.\r\n$1\r\n2\r\n");
  EXPECT_EQ(run("multi\nset a x\nincr a\nexec\nget a"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n-ERR value is not an integer or out of "
            "range\r\n$1\r\nx\r\n");
}

/// Those that look at all keys run behind the transaction's own step, and see what it wrote.
TEST_F(Commands, TransactionsOnTheWholeKeyspace) {
  EXPECT_EQ(run("set a 1\nmulti\nset b 2\ndbsize\nkeys b\nscan 0 match b\nrandomkey\ndel a\nexec"),
            "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
            "*6\r\n+OK\r\n:1\r\n*1\r\n$1\r\nb\r\n*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n$1\r\nb\r\n:1\r\n");
  EXPECT_EQ(run("multi\nset c 3\nflushall\nget b\nget c\nset d 4\nincr d\nexec\nkeys *"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
            "*6\r\n+OK\r\n+OK\r\n$-1\r\n$-1\r\n+OK\r\n:5\r\n*1\r\n$1\r\nd\r\n");
  EXPECT_EQ(run("multi\nflushdb foo\nflushdb sync\nexec\ndbsize"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n-ERR syntax error\r\n+OK\r\n:0\r\n");
  std::string many = "multi\nflushall";
  for (int i = 0; i < 40; ++i) many += "\nset k" + std::to_string(i) + " 1\nincr k" + std::to_string(i / 2);
  run(many);
  EXPECT_TRUE(run("exec").starts_with("*81\r\n+OK\r\n+OK\r\n:2\r\n+OK\r\n:3\r\n"));
  EXPECT_EQ(run("dbsize\nget k0\nget k39"), ":40\r\n$1\r\n3\r\n$1\r\n1\r\n");
}

TEST_F(Commands, WhatCannotBeQueuedEndsTheTransaction) {
  EXPECT_EQ(run("multi\nclient id x\nexec"),
            "+OK\r\n-ERR wrong number of arguments for 'client|id' command\r\n-EXECABORT Transaction "
            "discarded because of previous errors.\r\n");
  EXPECT_EQ(run("multi\nconfig foo\nexec"),
            "+OK\r\n-ERR unknown subcommand 'foo'. Try CONFIG HELP.\r\n-EXECABORT Transaction discarded "
            "because of previous errors.\r\n");
}

TEST_F(Commands, ClientSubcommands) {
  EXPECT_EQ(
      run("client unblock 7\nclient tracking off\nclient tracking on\nclient getredir\nclient no-touch on"),
      ":0\r\n+OK\r\n-ERR Client tracking is not supported\r\n:-1\r\n+OK\r\n");
  EXPECT_EQ(run("client setname " + std::string(1025, 'n') + "\nclient getname"),
            "-ERR Client names cannot be longer than 1024 bytes\r\n$-1\r\n");
  EXPECT_EQ(run("client setinfo lib-name " + std::string(1025, 'n')),
            "-ERR Client names cannot be longer than 1024 bytes\r\n");
  EXPECT_EQ(run("command info nosuch"), "*1\r\n$-1\r\n");
}

/// A second batch waits for the pause to end; an EXEC that writes is a write.
TEST_F(Commands, PausedClientsWait) {
  Client& me = connect();
  Client& other = connect();
  EXPECT_EQ(run(other, "client pause 100000 write\nget a"), "+OK\r\n$-1\r\n");
  static const auto both = [](Client* paused, Client* free, Service* service) -> Task<> {
    std::string writes = encode("set a 1\nmulti\nset b 2\nexec"), others = encode("get a\nclient unpause");
    TaskScope scope;
    scope.spawn(batch(paused, &writes, service));
    for (int turn = 0; turn < 20; ++turn) co_await yield();
    EXPECT_EQ(paused->pipeline.out().size(), 0u);
    co_await batch(free, &others, service);
    EXPECT_EQ(free->pipeline.out().take_text(), "$-1\r\n+OK\r\n");
    co_await scope.join();
  };
  shard_.run(both(&me, &other, &*service_));
  EXPECT_EQ(me.pipeline.out().take_text(), "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
  EXPECT_EQ(run(other, "client pause 0\nset a 2\nget a"), "+OK\r\n+OK\r\n$1\r\n2\r\n");
}

TEST_F(Commands, ConfigSetNamesEachParameterOnce) {
  EXPECT_EQ(run("config set appendfsync no AppendFsync always\nconfig get appendfsync"),
            "-ERR CONFIG SET failed (possibly related to argument 'AppendFsync') - duplicate "
            "parameter\r\n*2\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n");
  EXPECT_EQ(run("config set appendfsync EverySec timeout 7\nconfig get appendfsync\nconfig get timeout"),
            "+OK\r\n*2\r\n$11\r\nappendfsync\r\n$8\r\neverysec\r\n*2\r\n$7\r\ntimeout\r\n$1\r\n7\r\n");
  EXPECT_EQ(service_->durability(), kv::Durability::periodic);
}

TEST_F(Commands, TransactionsHaveLimits) {
  const std::string long_set = "*3\r\n$3\r\nset\r\n$65533\r\n" + std::string(65533, 'k') + "\r\n$1\r\nv\r\n";
  EXPECT_EQ(
      run("multi\n" + long_set + "exec\ndiscard"),
      "+OK\r\n-ERR key is longer than 65532 bytes\r\n-EXECABORT Transaction discarded because of previous "
      "errors.\r\n-ERR DISCARD without MULTI\r\n");
  service_->settings().options.request_bytes_max = 4 * sizeof(WatchedKey);
  EXPECT_EQ(run("watch a b c d\nunwatch\nwatch a b c\nwatch d"),
            "-ERR transaction is too large\r\n+OK\r\n+OK\r\n-ERR transaction is too large\r\n");
}

TEST_F(Commands, WatchedKeysGuardTheTransaction) {
  Client& me = connect();
  Client& other = connect();
  run(me, "set a 1");
  EXPECT_EQ(run(me, "watch a\nmulti\nincr a\nexec"), "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n:2\r\n");
  run(me, "watch a");
  run(other, "set a 7");
  EXPECT_EQ(run(me, "multi\nincr a\nexec\nget a"), "+OK\r\n+QUEUED\r\n*-1\r\n$1\r\n7\r\n");
  run(me, "watch a");
  run(other, "set a 8");
  EXPECT_EQ(run(me, "unwatch\nmulti\nincr a\nexec"), "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n:9\r\n");
  partition("a").on_device = {"a"};
  EXPECT_EQ(run(me, "multi\nincr a\nincr a\nexec"), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:10\r\n:11\r\n");
}

TEST_F(Commands, ReplyModes) {
  EXPECT_EQ(run("client reply off\nset a 1\nget a\nfoo\nclient reply on\nget a"), "+OK\r\n$1\r\n1\r\n");
  EXPECT_EQ(run("ping\nclient reply skip\nget a\nget a\nping"), "+PONG\r\n$1\r\n1\r\n+PONG\r\n");
}

TEST_F(Commands, AboutTheServer) {
  EXPECT_EQ(run("config get maxcli*\nconfig get nosuch"), "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n*0\r\n");
  EXPECT_EQ(run("config set maxclients 5\nconfig get maxclients\nconfig set foo 1\nconfig set maxclients x"),
            "+OK\r\n*2\r\n$10\r\nmaxclients\r\n$1\r\n5\r\n-ERR Unknown option or number of arguments for "
            "CONFIG SET - "
            "'foo'\r\n" +
                run("config set maxclients x"));
  EXPECT_TRUE(run("config set maxclients x").starts_with("-ERR CONFIG SET failed"));
  run("mset a 1 b 2\nget a\nget zz");
  const std::string info = run("info");
  EXPECT_NE(info.find("db0:keys=2,expires=0"), std::string::npos) << info;
  EXPECT_NE(info.find("keyspace_hits:1\r\nkeyspace_misses:1"), std::string::npos) << info;
  EXPECT_EQ(run("command count"), ":" + std::to_string(all_commands().size()) + "\r\n");
  EXPECT_TRUE(
      run("command info get foo")
          .starts_with("*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"));
  EXPECT_EQ(run("command getkeys mset a 1 b 2"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
  EXPECT_NE(run("client list").find("cmd=client"), std::string::npos);
  EXPECT_EQ(run("client kill id 99\nclient kill 1.2.3.4:5"), ":0\r\n-ERR No such client\r\n");
}

TEST_F(Commands, TheTableKnowsEveryNameInAnyCase) {
  for (const CommandSpec& spec : all_commands()) {
    EXPECT_EQ(find_command(spec.name), &spec);
    std::string upper(spec.name);
    for (char& c : upper) c = static_cast<char>(c & ~0x20);
    EXPECT_EQ(find_command(upper), &spec);
    EXPECT_EQ(find_command(upper + "X"), nullptr);
  }
  EXPECT_EQ(find_command(""), nullptr);
  EXPECT_EQ(find_command(std::string(100, 'g')), nullptr);
}

class Partitioned : public Commands {
 protected:
  Partitioned() : Commands(7) {}

  std::set<std::string> scan_all(const std::string& options, int* calls = nullptr) {
    std::set<std::string> seen;
    std::string cursor = "0";
    int count = 0;
    do {
      const std::string text = run("scan " + cursor + options);
      ReplyParser parser;
      EXPECT_EQ(parser.parse(as_bytes(text)), ReplyParser::Status::complete) << text;
      cursor = parser.nodes()[1].text;
      for (const auto& node : parser.nodes().subspan(3)) seen.emplace(node.text);
      EXPECT_LT(++count, 100'000);
    } while (cursor != "0");
    if (calls != nullptr) *calls = count;
    return seen;
  }
};

TEST_F(Partitioned, SeveralKeysAcrossPartitions) {
  EXPECT_EQ(run("mset a 1 b 2 c 3 d 4 e 5\nmget e d c b a x\nexists a b c x\ndel a b x\nmget a b c"),
            "+OK\r\n*6\r\n$1\r\n5\r\n$1\r\n4\r\n$1\r\n3\r\n$1\r\n2\r\n$1\r\n1\r\n$-1\r\n:3\r\n:2\r\n*3\r\n$-"
            "1\r\n$-1\r\n"
            "$1\r\n3\r\n");
  EXPECT_EQ(run("msetnx a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8\nexists a b f g h"), ":0\r\n:0\r\n");
  EXPECT_EQ(run("msetnx f 1 g 2 h 3 i 4\nmget f g h i"),
            ":1\r\n*4\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n");
  EXPECT_EQ(run("rename f target\nrename g target2\nrename h target3\nmget f target g target2 h target3"),
            "+OK\r\n+OK\r\n+OK\r\n*6\r\n$-1\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n$-1\r\n$1\r\n3\r\n");
  EXPECT_EQ(run("renamenx target i\nget i"), ":0\r\n$1\r\n4\r\n");
  // A transaction reads what it has written, in order, wherever the keys are.
  EXPECT_EQ(run("multi\nset a 1\nincr a\nset b 5\nmget a b i\ndel i\nexists a i\nexec\nmget a b i"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
            "*6\r\n+OK\r\n:2\r\n+OK\r\n*3\r\n$1\r\n2\r\n$1\r\n5\r\n$1\r\n4\r\n:1\r\n:1\r\n"
            "*3\r\n$1\r\n2\r\n$1\r\n5\r\n$-1\r\n");
  EXPECT_EQ(run("multi\nset {t}a 1\nset {t}b 2\nexec"), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n");
  EXPECT_EQ(run("msetnx {u}a 1 {u}b 2"), ":1\r\n");
}

TEST_F(Partitioned, ScanFindsEveryKeyThatStays) {
  EXPECT_EQ(run("scan 0"), "*2\r\n$1\r\n0\r\n*0\r\n");
  std::set<std::string> keys;
  for (int i = 0; i < 3000; ++i) {
    const std::string key = i % 3 == 0 ? "{one}" + std::to_string(i) : "key:" + std::to_string(i);
    keys.insert(key);
    run("set " + key + " v");
  }
  for (const char* options : {"", " count 1", " count 100", " count 100000"}) {
    EXPECT_EQ(scan_all(options), keys) << options;
  }
  std::set<std::string> matching;
  for (const auto& key : keys) {
    if (key.starts_with("key:1")) matching.insert(key);
  }
  EXPECT_EQ(scan_all(" match key:1* type string"), matching);
  EXPECT_TRUE(scan_all(" type list").empty());
  int calls = 0;
  scan_all(" match nothing", &calls);
  EXPECT_LT(calls, 30);
  EXPECT_EQ(run("dbsize"), ":3000\r\n");
  for (int i = 0; i < 100; ++i) {
    const std::string reply = run("randomkey");
    const std::size_t begin = reply.find('\n') + 1;
    EXPECT_TRUE(keys.contains(reply.substr(begin, reply.size() - begin - 2))) << reply;
  }
}

TEST_F(Partitioned, ScanWhileKeysComeAndGo) {
  for (int i = 0; i < 1000; ++i) run("set stay:" + std::to_string(i) + " v");
  std::set<std::string> seen;
  std::string cursor = "0";
  int round = 0;
  do {
    const std::string text = run("scan " + cursor + " count 20");
    ReplyParser parser;
    ASSERT_EQ(parser.parse(as_bytes(text)), ReplyParser::Status::complete);
    cursor = parser.nodes()[1].text;
    for (const auto& node : parser.nodes().subspan(3)) seen.emplace(node.text);
    run("set come:" + std::to_string(round) + " v\ndel come:" + std::to_string(round - 5));
  } while (cursor != "0" && ++round < 10'000);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.contains("stay:" + std::to_string(i)));
}

TEST_F(Partitioned, ScanRefusesBadArguments) {
  EXPECT_EQ(
      run("scan x\nscan 0 count 0\nscan 0 count x\nscan 0 foo\nscan 0 foo bar\nscan 18446744073709551615"),
      "-ERR invalid cursor\r\n-ERR syntax error\r\n-ERR value is not an integer or out of range\r\n-ERR "
      "syntax "
      "error\r\n-ERR syntax error\r\n*2\r\n$1\r\n0\r\n*0\r\n");
  EXPECT_EQ(run("set a 1\nscan -1"), "+OK\r\n*2\r\n$1\r\n0\r\n*0\r\n");
}

TEST_F(Partitioned, KeysAndFlush) {
  run("mset one 1 two 2 three 3");
  EXPECT_TRUE(run("keys *").starts_with("*3\r\n"));
  EXPECT_EQ(run("keys o?e"), "*1\r\n$3\r\none\r\n");
  EXPECT_EQ(run("flushall foo"), "-ERR syntax error\r\n");
  EXPECT_EQ(run("flushall\ndbsize\nkeys *\nrandomkey"), "+OK\r\n:0\r\n*0\r\n$-1\r\n");
  run("set x 1");
  EXPECT_EQ(run("randomkey\nflushdb async\nget x"), "$1\r\nx\r\n+OK\r\n$-1\r\n");
}

/// What is looked ahead at changes no reply: groups answer as commands one by one do.
TEST_F(Partitioned, GroupsAnswerAsCommandsOneByOneDo) {
  const char* const given = std::getenv("ASHLAR_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device()();
  Random random(seed);
  const auto key = [&] { return "k" + std::to_string(random.below(6)); };
  const auto command = [&]() -> std::string {
    switch (random.below(16)) {
      case 0: return "get " + key();
      case 1: return "mget " + key() + " " + key() + " " + key();
      case 2: return "incr " + key();
      case 3: return "append " + key() + " 1";
      case 4: return "del " + key() + " " + key();
      case 5: return "set " + key() + " 7 nx get";
      case 6: return "set " + key();
      case 7: return "nosuch " + key();
      case 8: return "ping";
      case 9: return "mset " + key() + " 1 " + key() + " 2";
      case 10: return random.one_in(2) ? "multi" : "exec";
      case 11: return random.one_in(8) ? "client reply skip" : "exists " + key();
      default: return "set " + key() + " " + std::to_string(random.below(100));
    }
  };
  for (int round = 0; round < 300; ++round) {
    std::string script;
    for (std::uint64_t i = random.between(1, 60); i != 0; --i) script += command() + "\n";
    const std::string on_device = key();
    std::string replies[2];
    for (const std::size_t ahead : {std::size_t{1}, RequestGroup::requests_max}) {
      run("discard\nflushall\nmset k0 1 k3 2");
      partition(on_device).on_device = {on_device};
      replies[ahead == 1 ? 0 : 1] = run(client(), script, ahead);
    }
    ASSERT_EQ(replies[0], replies[1]) << "ASHLAR_SEED=" << seed << "\n" << script;
  }
}

}  // namespace
}  // namespace ashlar::resp

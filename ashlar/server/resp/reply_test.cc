#include <gtest/gtest.h>

#include <string>

#include "ashlar/server/resp/reply_parser.h"
#include "ashlar/server/resp/reply_writer.h"

namespace ashlar::resp {
namespace {

/// As a sender would take it.
std::string text_of(OutputBuffer& out) {
  std::string text;
  Bytes views[4];
  while (!out.empty()) {
    const std::size_t count = out.gather(views);
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
      text += as_text(views[i]);
      bytes += views[i].size();
    }
    out.consume(bytes);
  }
  return text;
}

class Replies : public testing::Test {
 protected:
  ChunkPool pool_;
  OutputBuffer out_{pool_};
  ReplyWriter two_{out_, Protocol::resp2};
  ReplyWriter three_{out_, Protocol::resp3};
};

TEST_F(Replies, AreEncodedPerProtocol) {
  const auto write = [](ReplyWriter& reply) {
    reply.ok();
    reply.error("ERR a\r\nb");
    reply.integer(-12);
    reply.bulk("hello worlds");
    reply.null();
    reply.null_array();
    reply.map(1);
    reply.set(2);
    reply.boolean(true);
    reply.verbatim("x");
  };
  write(two_);
  EXPECT_EQ(text_of(out_),
            "+OK\r\n-ERR a  b\r\n:-12\r\n$12\r\nhello worlds\r\n$-1\r\n*-1\r\n*2\r\n*2\r\n:1\r\n$1\r\nx\r\n");
  write(three_);
  EXPECT_EQ(text_of(out_),
            "+OK\r\n-ERR a  b\r\n:-12\r\n$12\r\nhello worlds\r\n_\r\n_\r\n%1\r\n~2\r\n#t\r\n=5\r\ntxt:x\r\n");
}

TEST_F(Replies, BigOnesArePinnedUntilSent) {
  const std::string value(100'000, 'v');
  bool released = false;
  const auto release = [](void* flag) noexcept { *static_cast<bool*>(flag) = true; };
  two_.bulk("before");
  two_.bulk(value, Pin(release, &released));
  two_.bulk("after");
  EXPECT_EQ(out_.size(), 12 + 9 + value.size() + 2 + 11);
  out_.consume(12 + 9 + value.size() - 1);
  EXPECT_FALSE(released);
  out_.consume(1);
  EXPECT_TRUE(released);
  EXPECT_EQ(text_of(out_), "\r\n$5\r\nafter\r\n");

  bool small_released = false;
  two_.bulk("small", Pin(release, &small_released));
  EXPECT_TRUE(small_released);

  bool cleared = false;
  two_.bulk(value, Pin(release, &cleared));
  out_.clear();
  EXPECT_TRUE(cleared);
  EXPECT_TRUE(out_.empty());
}

TEST_F(Replies, BuffersAreSplicedInOrder) {
  std::string expected;
  const std::string value(50'000, 'v');
  for (int round = 0; round < 20; ++round) {
    OutputBuffer late(pool_);
    ReplyWriter writer(late, Protocol::resp2);
    writer.bulk("first");
    if (round % 2 != 0) writer.bulk(value, Pin([](void*) noexcept {}, nullptr));
    const std::size_t first = late.size();
    const std::string copied(20'000, static_cast<char>('a' + round));
    writer.bulk(copied);
    two_.integer(round);
    expected += ":" + std::to_string(round) + "\r\n$5\r\nfirst\r\n";
    if (round % 2 != 0) expected += "$50000\r\n" + value + "\r\n";
    out_.append_from(late, first);
    two_.ok();
    out_.append_from(late, late.size());
    expected += "+OK\r\n$20000\r\n" + copied + "\r\n";
    EXPECT_TRUE(late.empty());
  }
  EXPECT_EQ(out_.size(), expected.size());
  EXPECT_EQ(text_of(out_), expected);
}

struct Parsed {
  std::vector<std::string> replies;
  bool error = false;
};

std::string to_string(const ReplyNode& node) {
  static constexpr const char* names[] = {"simple",  "error", "integer", "bulk",     "null",
                                          "boolean", "real",  "big",     "verbatim", "array",
                                          "map",     "set",   "push",    "attribute"};
  return std::string(names[static_cast<int>(node.type)]) + ":" + std::to_string(node.integer) + ":" +
         std::string(node.text) + " ";
}

Parsed parse(std::string_view text, std::size_t step) {
  ReplyParser parser;
  Parsed parsed;
  std::string unread;
  for (std::size_t at = 0; at < text.size() && !parsed.error; at += step) {
    std::string moved = unread + std::string(text.substr(at, step));
    unread.swap(moved);
    for (;;) {
      const auto status = parser.parse(as_bytes(unread));
      parsed.error = status == ReplyParser::Status::error;
      if (status != ReplyParser::Status::complete) break;
      std::string reply;
      for (const auto& node : parser.nodes()) reply += to_string(node);
      parsed.replies.push_back(reply);
      unread.erase(0, parser.consumed());
    }
  }
  return parsed;
}

TEST(ReplyParser, ParsesNestedRepliesInAnyPieces) {
  const std::string_view text =
      "+OK\r\n*3\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n%1\r\n+k\r\n#t\r\n*0\r\n|1\r\n+ttl\r\n:3\r\n$2\r\nhi\r\n"
      "*-1\r\n_\r\n,1.5\r\n=5\r\ntxt:x\r\n>1\r\n+p\r\n!3\r\nERR\r\n";
  const std::vector<std::string> expected = {
      "simple:0:OK ",
      "array:3: integer:1: array:2: bulk:0:a null:0: map:2: simple:0:k boolean:1: ",
      "array:0: ",
      "attribute:2: simple:0:ttl integer:3: bulk:0:hi ",
      "null:0: ",
      "null:0: ",
      "real:0:1.5 ",
      "verbatim:0:txt:x ",
      "push:1: simple:0:p ",
      "error:0:ERR ",
  };
  for (std::size_t step = 1; step <= text.size(); ++step) {
    const Parsed parsed = parse(text, step);
    EXPECT_FALSE(parsed.error);
    EXPECT_EQ(parsed.replies, expected) << step;
  }
}

TEST(ReplyParser, RefusesWhatIsNoReply) {
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "*1\r\n";
  for (const std::string& text :
       {std::string("x\r\n"), std::string("$-2\r\n"), std::string(":1a\r\n"), std::string("$1\r\nabc\r\n"),
        std::string("#x\r\n"), std::string("+a\n"), std::string("*99999999999\r\n"), deep}) {
    EXPECT_TRUE(parse(text, 1).error) << text;
    EXPECT_TRUE(parse(text, 1000).error) << text;
  }
}

}  // namespace
}  // namespace ashlar::resp

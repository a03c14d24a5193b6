#include "ashlar/server/resp/request_parser.h"

#include <gtest/gtest.h>

#include <string>

namespace ashlar::resp {
namespace {

using Status = RequestParser::Status;
using Request = std::vector<std::string>;

struct Parsed {
  std::vector<Request> requests;
  std::string error;
  std::size_t left = 0;
};

MutableBytes bytes_of(std::string& text) {
  return {reinterpret_cast<std::byte*>(text.data()), text.size()};
}

void take_all(RequestParser& parser, std::string& unread, Parsed& parsed) {
  for (;;) {
    const Status status = parser.parse(bytes_of(unread));
    if (status == Status::error) parsed.error = parser.error();
    if (status != Status::complete) break;
    const auto arguments = parser.arguments();
    parsed.requests.emplace_back(arguments.begin(), arguments.end());
    unread.erase(0, parser.consumed());
  }
  parsed.left = unread.size();
}

/// Feeds the text in pieces of `step` bytes, in a buffer that moves every time.
Parsed parse(std::string_view text, std::size_t step = 1 << 20, bool authenticated = true) {
  RequestParser parser;
  parser.set_authenticated(authenticated);
  Parsed parsed;
  std::string unread;
  for (std::size_t at = 0; at < text.size() && parsed.error.empty(); at += step) {
    std::string moved = unread + std::string(text.substr(at, step));
    unread.swap(moved);
    take_all(parser, unread, parsed);
  }
  return parsed;
}

TEST(RequestParser, PipelinesInAnyPieces) {
  const std::string_view text =
      "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n*1\r\n$4\r\nPING\r\nPING\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n"
      "set k \"a b\\x41\\n\" 'it\\'s'\r\n*0\r\n*-1\r\n\r\n";
  const std::vector<Request> expected = {{"SET", "k", "hello"},          {"PING"}, {"PING"}, {"GET", ""},
                                         {"set", "k", "a bA\n", "it's"}, {},       {},       {}};
  for (std::size_t step = 1; step <= text.size(); ++step) {
    const Parsed parsed = parse(text, step);
    EXPECT_EQ(parsed.requests, expected) << step;
    EXPECT_EQ(parsed.error, "") << step;
    EXPECT_EQ(parsed.left, 0u);
  }
}

TEST(RequestParser, ViewsPointIntoTheBuffer) {
  RequestParser parser;
  std::string text = "*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n";
  ASSERT_EQ(parser.parse(bytes_of(text)), Status::complete);
  EXPECT_EQ(parser.arguments()[1].data(), text.data() + text.find("abc"));
  EXPECT_EQ(parser.consumed(), text.size());
}

TEST(RequestParser, SaysHowMuchABigBulkWants) {
  RequestParser parser;
  std::string text = "*2\r\n$4\r\nECHO\r\n$1000000\r\nabc";
  ASSERT_EQ(parser.parse(bytes_of(text)), Status::incomplete);
  EXPECT_EQ(parser.wanted(), 1'000'000u + 2 - 3);
}

TEST(RequestParser, HostileInputGetsRedisText) {
  struct Case {
    std::string text;
    const char* error;
  };
  const Case cases[] = {
      {"*x\r\n", "Protocol error: invalid multibulk length"},
      {"*\r\n", "Protocol error: invalid multibulk length"},
      {"*03\r\n", "Protocol error: invalid multibulk length"},
      {"*99999999999999999999\r\n", "Protocol error: invalid multibulk length"},
      {"*1048577\r\n", "Protocol error: invalid multibulk length"},
      {"*1\r\n:1\r\n", "Protocol error: expected '$', got ':'"},
      {"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$a\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$536870913\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$9999999999\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$" + std::string(70'000, '1'), "Protocol error: too big bulk count string"},
      {"*" + std::string(70'000, '1'), "Protocol error: too big mbulk count string"},
      {std::string(70'000, 'a'), "Protocol error: too big inline request"},
      {"get \"abc\r\n", "Protocol error: unbalanced quotes in request"},
      {"get \"abc\"def\r\n", "Protocol error: unbalanced quotes in request"},
      {"get 'abc\r\n", "Protocol error: unbalanced quotes in request"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(parse(c.text).error, c.error);
    if (c.text.size() < 100) {
      EXPECT_EQ(parse(c.text, 1).error, c.error);
    }
  }
}

TEST(RequestParser, AStrangerGetsLittle) {
  EXPECT_EQ(parse("*11\r\n", 100, false).error, "Protocol error: unauthenticated multibulk length");
  EXPECT_EQ(parse("*2\r\n$16385\r\n", 100, false).error, "Protocol error: unauthenticated bulk length");
  EXPECT_EQ(parse("*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", 100, false).requests.size(), 1u);
}

TEST(RequestParser, ManyArgumentsGrowAsTheyArriveOnly) {
  EXPECT_EQ(parse("*1048576\r\n$1\r\na\r\n").error, "");
  std::string text = "*5000\r\n";
  for (int i = 0; i < 5000; ++i) text += "$1\r\nx\r\n";
  const Parsed parsed = parse(text + "PING\r\n", 999);
  ASSERT_EQ(parsed.requests.size(), 2u);
  EXPECT_EQ(parsed.requests[0].size(), 5000u);
  EXPECT_EQ(parsed.requests[1], Request{"PING"});
}

}  // namespace
}  // namespace ashlar::resp

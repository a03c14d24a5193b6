#include "ashlar/runtime/ops/address.h"

#include <gtest/gtest.h>

namespace ashlar {
namespace {

std::string round_trip(std::string_view text) {
  auto address = Address::parse(text);
  return address ? address->to_string() : address.error().where;
}

TEST(Address, ReadsBackWhatItWrites) {
  for (const char* text :
       {"127.0.0.1:6379", "0.0.0.0:0", "[::1]:6379", "[::]:65535", "unix:/run/ashlar.sock"}) {
    EXPECT_EQ(round_trip(text), text);
  }
}

TEST(Address, SaysWhatIsWrong) {
  for (const char* text : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1x",
                           "localhost:1", "::1:1", "[::1]1", "[::1:1", "[]:1", "1.2.3:1", "unix:", ":80"}) {
    auto address = Address::parse(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, Errc::invalid);
    EXPECT_TRUE(std::string_view(address.error().where).starts_with("address: ")) << text;
  }
  EXPECT_FALSE(Address::parse("unix:" + std::string(108, 'x')));
  EXPECT_TRUE(Address::parse("unix:" + std::string(107, 'x')));
}

TEST(Address, KnowsLoopbackAndPort) {
  EXPECT_TRUE(Address::parse("127.8.9.1:1")->loopback());
  EXPECT_TRUE(Address::parse("[::1]:1")->loopback());
  EXPECT_TRUE(Address::parse("unix:/x")->loopback());
  EXPECT_FALSE(Address::parse("0.0.0.0:1")->loopback());
  EXPECT_FALSE(Address::parse("[::]:1")->loopback());

  Address address = *Address::parse("[::1]:7");
  EXPECT_EQ(address.port(), 7);
  address.set_port(8);
  EXPECT_EQ(address.to_string(), "[::1]:8");
}

}  // namespace
}  // namespace ashlar

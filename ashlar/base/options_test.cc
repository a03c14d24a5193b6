#include "ashlar/base/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "ashlar/base/units.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;

enum class Mode : std::uint8_t { slow, fast };

struct Example {
  std::uint32_t segment_bytes = 1_MiB;
  std::uint16_t shards = 2;
  std::chrono::milliseconds timeout{100};
  bool strict = true;
  Mode mode = Mode::fast;
  std::string address = "127.0.0.1:6379";
  std::string password;
};

struct Fixture : testing::Test {
  Example example;
  OptionSet set;
  Fixture() {
    set.add("shards", example.shards, {.min = 1, .max = 64, .help = "Number of shards"});
    set.add("log.segment-bytes", example.segment_bytes,
            {.unit = Unit::bytes,
             .min = 4_KiB,
             .max = 1_GiB,
             .multiple_of = 4_KiB,
             .test_max = 1_MiB,
             .help = "Segment"});
    set.add("log.timeout", example.timeout, {.min = 1, .max = 60'000, .live = true, .help = "Patience"});
    set.add("log.strict", example.strict, {.help = "Strict"});
    set.add("log.mode", example.mode, {.names = {"slow", "fast"}, .help = "Mode"});
    set.add("resp.address", example.address, {.form = "ADDRESS:PORT", .max_size = 32, .help = "Where"});
    set.add("resp.password", example.password, {.secret = true, .help = "Password"});
  }
};
using Options = Fixture;

TEST_F(Options, AllNamesFollowFromOne) {
  const Option* option = set.find("log.segment-bytes");
  ASSERT_NE(option, nullptr);
  EXPECT_EQ(option->flag(), "--log-segment-bytes");
  EXPECT_EQ(option->environment_variable(), "ASHLAR_LOG_SEGMENT_BYTES");
  EXPECT_EQ(option->default_value(), "1MiB");
  EXPECT_EQ(option->bounds(), "4KiB to 1GiB, a multiple of 4KiB");
  EXPECT_EQ(option->form(), "SIZE");
  EXPECT_EQ(set.find("nothing"), nullptr);
}

TEST_F(Options, SetStoresIntoTheField) {
  EXPECT_TRUE(set.set("log.segment-bytes", "64KiB"));
  EXPECT_EQ(example.segment_bytes, 65'536u);
  EXPECT_TRUE(set.set("log.timeout", "2s"));
  EXPECT_EQ(example.timeout, 2s);
  EXPECT_TRUE(set.set("log.strict", "no"));
  EXPECT_FALSE(example.strict);
  EXPECT_TRUE(set.set("log.mode", "slow"));
  EXPECT_EQ(example.mode, Mode::slow);
  EXPECT_TRUE(set.set("resp.address", "[::1]:7000"));
  EXPECT_EQ(example.address, "[::1]:7000");
  EXPECT_EQ(set.describe_changes(),
            "log.segment-bytes=64KiB log.timeout=2s log.strict=false log.mode=slow resp.address=[::1]:7000");
}

TEST_F(Options, AWrongValueIsOneLineAndChangesNothing) {
  const auto error = [&](const char* name, const char* text) { return set.set(name, text).error(); };
  EXPECT_EQ(error("shards", "0"), "shards: '0' is not a NUMBER of 1 to 64");
  EXPECT_EQ(error("shards", "65"), "shards: '65' is not a NUMBER of 1 to 64");
  EXPECT_EQ(error("shards", "2x"), "shards: '2x' is not a NUMBER of 1 to 64");
  EXPECT_EQ(error("log.segment-bytes", "5000"),
            "log.segment-bytes: '5000' is not a SIZE of 4KiB to 1GiB, a multiple of 4KiB");
  EXPECT_EQ(error("log.timeout", "5"), "log.timeout: '5' is not a DURATION of 1ms to 1min");
  EXPECT_EQ(error("log.timeout", "1500us"), "log.timeout: '1500us' is not a DURATION of 1ms to 1min");
  EXPECT_EQ(error("log.mode", "medium"), "log.mode: 'medium' is not one of slow|fast");
  EXPECT_EQ(error("log.strict", "maybe"), "log.strict: 'maybe' is not one of true|false");
  EXPECT_EQ(error("resp.address", std::string(33, 'a').c_str()), "resp.address: longer than 32 bytes");
  EXPECT_EQ(set.describe_changes(), "");
}

TEST_F(Options, AnUnknownNameSuggestsTheNearest) {
  EXPECT_EQ(set.set("log.segment-byte", "1").error(),
            "unknown option 'log.segment-byte', did you mean 'log.segment-bytes'?");
  EXPECT_EQ(set.set("colour", "1").error(), "unknown option 'colour'");
  EXPECT_EQ(set.nearest("--log-segment-byte"), set.find("log.segment-bytes"));
}

TEST_F(Options, SecretsAreNotShown) {
  EXPECT_EQ(set.find("resp.password")->value(), "");
  EXPECT_TRUE(set.set("resp.password", "hunter2"));
  EXPECT_EQ(example.password, "hunter2");
  EXPECT_EQ(set.find("resp.password")->value(), "********");
  EXPECT_THAT(set.describe_changes(), testing::Not(testing::HasSubstr("hunter2")));
}

TEST_F(Options, ReadsTheEnvironment) {
  const auto good = [](const char* name) -> char* {
    static char value[] = "8";
    return std::strcmp(name, "ASHLAR_SHARDS") == 0 ? value : nullptr;
  };
  EXPECT_TRUE(set.set_from_environment(good));
  EXPECT_EQ(example.shards, 8);
  const auto bad = [](const char* name) -> char* {
    static char value[] = "many";
    return std::strcmp(name, "ASHLAR_SHARDS") == 0 ? value : nullptr;
  };
  EXPECT_EQ(set.set_from_environment(bad).error(),
            "environment variable ASHLAR_SHARDS: shards: 'many' is not a NUMBER of 1 to 64");
}

TEST_F(Options, DrawsConfigurationsThatTheUserCouldWrite) {
  Random random(1);
  bool both_modes[2] = {};
  for (int i = 0; i < 1'000; ++i) {
    set.draw(random);
    ASSERT_GE(example.shards, 1);
    ASSERT_LE(example.shards, 64);
    ASSERT_LE(example.segment_bytes, 1_MiB);
    for (Option& option : set)
      if (!option.secret()) {
        ASSERT_TRUE(option.set(option.value())) << option.name();
      }
    both_modes[static_cast<int>(example.mode)] = true;
  }
  EXPECT_TRUE(both_modes[0] && both_modes[1]);
}

TEST_F(Options, DocumentsItself) {
  const std::string text = set.markdown();
  EXPECT_THAT(text, testing::HasSubstr("## [log]"));
  EXPECT_THAT(text,
              testing::HasSubstr(
                  "| `timeout` | `--log-timeout` | `100ms` | DURATION, 1ms to 1min | Patience (live) |"));
  EXPECT_THAT(text, testing::HasSubstr("slow\\|fast"));
}

using OptionsDeathTest = Fixture;

TEST_F(OptionsDeathTest, AMistakenDeclarationEndsTheProgram) {
  std::uint32_t value = 5;
  EXPECT_DEATH(set.add("shards", value, {}), "declared twice");
  EXPECT_DEATH(set.add("Log.X", value, {}), "malformed name");
  EXPECT_DEATH(set.add("a.b.c", value, {}), "malformed name");
  EXPECT_DEATH(set.add("five", value, {.min = 6}), "default is out of bounds");
  EXPECT_DEATH(set.add("five", value, {.min = 6, .max = 5}), "contradictory bounds");
}

}  // namespace
}  // namespace ashlar

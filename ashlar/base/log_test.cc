#include "ashlar/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ashlar/base/options.h"

namespace ashlar {
namespace {

struct LogTest : testing::Test {
  ~LogTest() override { log::configure({}); }
};

TEST_F(LogTest, WritesALineToStderr) {
  log::configure({.timestamps = false});
  testing::internal::CaptureStderr();
  log::info("shard {}: {} partitions open", 3, 12);
  log::warn("{}", Error{.code = Errc::corrupt, .where = "table footer", .object = 9, .offset = 64});
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "info    shard 3: 12 partitions open\nwarning table footer: corrupt, object 9 at 64\n");
}

TEST_F(LogTest, BeginsWithTheTime) {
  testing::internal::CaptureStderr();
  log::error("late");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::MatchesRegex("[0-9T:.-]+Z error   late\n"));
}

TEST_F(LogTest, IsSilentBelowTheLevel) {
  log::LogOptions options;
  OptionSet set;
  log::describe(set, options);
  ASSERT_TRUE(set.set("log-level", "warn"));
  log::configure(options);
  testing::internal::CaptureStderr();
  log::info("nothing {}", 1);
  log::debug("nothing {}", 2);
  EXPECT_FALSE(log::enabled(log::Level::info));
  EXPECT_TRUE(log::enabled(log::Level::warn));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace ashlar

#include "bench/kv/child.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <limits>

namespace ashlar::bench {
namespace {

TEST(ChildTest, SaysWhatItMeasured) {
  const pid_t parent = ::getpid();
  const auto sample = in_child([&]() -> Result<Sample> {
    if (::getpid() == parent) return fail(Errc::invalid, "no child");
    return Sample{.value = 2.5,
                  .columns = {{"p99_us", 7}, {"unknown", std::numeric_limits<double>::quiet_NaN()}},
                  .series = {{.seconds = 1, .rate = 2, .longest_ms = 3}}};
  });
  ASSERT_TRUE(sample) << sample.error().to_string();
  EXPECT_EQ(sample->value, 2.5);
  ASSERT_EQ(sample->columns.size(), 2u);
  EXPECT_EQ(sample->columns[0].first, "p99_us");
  EXPECT_EQ(sample->columns[0].second, 7);
  EXPECT_TRUE(std::isnan(sample->columns[1].second));
  ASSERT_EQ(sample->series.size(), 1u);
  EXPECT_EQ(sample->series[0].longest_ms, 3);
}

TEST(ChildTest, OneThatFailsOrDiesIsAnError) {
  EXPECT_FALSE(in_child([]() -> Result<Sample> { return fail(Errc::io, "a measurement"); }));
  EXPECT_FALSE(in_child([]() -> Result<Sample> { ::_exit(0); }));
  EXPECT_FALSE(in_child([]() -> Result<Sample> {
    ::kill(::getpid(), SIGKILL);
    ::_exit(0);
  }));
}

TEST(ChildTest, IsKilledOnceItIsReady) {
  EXPECT_TRUE(in_killed_child([](const std::function<void()>& ready) -> Result<> {
    ready();
    for (;;) ::pause();
  }));
  EXPECT_FALSE(in_killed_child(
      [](const std::function<void()>&) -> Result<> { return fail(Errc::io, "before that"); }));
}

}  // namespace
}  // namespace ashlar::bench

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

#include <fmt/format.h>

#include "ashlar/runtime/ops/test_loop_device.h"
#include "bench/block/chart.h"
#include "bench/block/job.h"
#include "bench/block/measure.h"
#include "bench/block/target.h"
#include "bench/block/way.h"

namespace ashlar::bench::block {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Parse, FioReportsOneObject) {
  const auto figures = parse_fio(R"(fio: this platform does not support something
{
  "fio version" : "fio-3.33",
  "jobs" : [ { "error" : 0, "mixed" : { "iops" : 34653.5, "lat_ns" : {
     "percentile" : { "50.000000" : 366592, "99.000000" : 10682368, "99.900000" : 19267584 } } } } ]
}
)");
  ASSERT_TRUE(figures) << figures.error().message;
  EXPECT_DOUBLE_EQ(figures->iops, 34653.5);
  EXPECT_DOUBLE_EQ(figures->p50_us, 366.592);
  EXPECT_DOUBLE_EQ(figures->p999_us, 19267.584);
  EXPECT_TRUE(std::isnan(figures->allocations));
}

TEST(Parse, WhatFailedIsSaid) {
  const auto polled = parse_fio(
      "fio: pid=20020, err=95/file:io_u.c:1876\n{\n \"jobs\" : [ { \"error\" : 95 } ]\n}\n"
      "fio: io_u error on file /x: Operation not supported: read offset=0, buflen=4096\n");
  ASSERT_FALSE(polled);
  EXPECT_THAT(polled.error().message, HasSubstr("Operation not supported"));

  EXPECT_FALSE(parse_fio(""));
  EXPECT_FALSE(parse_fio("{\n\"jobs\" : 1 }"));
  EXPECT_FALSE(parse_fio("{\n\"jobs\" : [ { \"error\" : 0, \"mixed\" : 3 } ] }"));
  EXPECT_FALSE(parse_job("{\"ios\":0,\"seconds\":0}"));
  const auto refused = parse_job("{\"error\":\"no such device\"}\n");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "no such device");
}

TEST(Parse, BdevperfPrintsATable) {
  const auto figures = parse_bdevperf(
      "Running I/O for 1 seconds...\n"
      "Device Information  : runtime(s)       IOPS      MiB/s     Fail/s     TO/s    Average        min      "
      "  max\n"
      "Job: Bench0 (Core Mask 0x2, workload: randread, depth: 32, IO size: 4096)\n"
      "\t Bench0              :       1.00 13600000.00   53125.00       0.00     0.00       2.35       1.00  "
      "    90.00\n"
      " 50.00000% :     2.310us\n 99.00000% :     3.100us\n 99.90000% :     9.870us\n");
  ASSERT_TRUE(figures) << figures.error().message;
  EXPECT_DOUBLE_EQ(figures->iops, 13.6e6);
  EXPECT_DOUBLE_EQ(figures->p50_us, 2.31);
  EXPECT_DOUBLE_EQ(figures->p999_us, 9.87);
  EXPECT_FALSE(parse_bdevperf("Couldn't start: no huge pages\n"));
}

TEST(Measure, RatiosAreOfTheFastestPeerOfTheSameKind) {
  const Workload workload;
  const Way ours{.name = "uring", .kind = "uring"};
  const Way slow{.name = "slow", .kind = "fio", .engine = Engine::fio};
  const Way fast{.name = "fast", .kind = "fio", .engine = Engine::fio};
  const Way cached{.name = "cached", .kind = "fio", .engine = Engine::fio, .contest = Contest::cached};
  const auto row = [&](const Way& way, double value) {
    return Row{.workload = &workload,
               .way = &way,
               .figures = {Figures{.iops = value, .notes = {}}},
               .usage = {Usage{}}};
  };
  std::vector<Row> rows = {row(ours, 300), row(slow, 100), row(fast, 200), row(cached, 9000)};
  find_best_peers(rows);
  ASSERT_NE(rows[0].peer, nullptr);
  EXPECT_EQ(rows[0].peer->way->name, "fast");
  EXPECT_DOUBLE_EQ(ratio_to_peer(rows[0], iops, true).median, 1.5);
  EXPECT_EQ(rows[1].peer, nullptr);

  std::vector<Row> alone = {row(ours, 300), row(cached, 9000)};
  find_best_peers(alone);
  EXPECT_TRUE(std::isnan(ratio_to_peer(alone[0], iops, true).median));
}

TEST(Job, BothFormsAllocateNothingForAnIo) {
  for (const char* spec : {"null:16MiB", "pass(null:16MiB)", "pass(null:16MiB)?coroutine", "ram:16MiB"}) {
    for (const Form form : {Form::callback, Form::coroutine}) {
      const auto result =
          run_job({.spec = spec, .read_percent = 50, .queue_depth = 8, .ios = 20'000, .form = form});
      ASSERT_TRUE(result) << result.error().message;
      EXPECT_EQ(result->ios, 20'000u);
      EXPECT_EQ(result->latency_cycles.count(), 20'000u);
      EXPECT_LE(result->allocations, 100u) << spec << ": of the job, not of its I/Os";
    }
  }
}

TEST(Job, WhatIsWrongIsSaid) {
  const auto unknown = run_job({.spec = "rom:1MiB"});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("no kind of device"));
  EXPECT_FALSE(run_job({.spec = "null:4KiB", .io_bytes = 8192, .ios = 10}));
}

TEST(Target, WhatIsNotOursStays) {
  const std::string link = ::testing::TempDir() + fmt::format("ashlar_target_{}", ::getpid());
  ASSERT_EQ(::symlink("/nowhere/at/all", link.c_str()), 0);
  EXPECT_FALSE(TargetFile::open(link, 1 << 20, true));
  struct stat found{};
  EXPECT_EQ(::lstat(link.c_str(), &found), 0) << "removed";
  ::unlink(link.c_str());

  {
    EXPECT_TRUE(TargetFile::open(link, 1 << 20, false));
  }
  EXPECT_NE(::lstat(link.c_str(), &found), 0) << "what was made for the run goes with it";
}

TEST(Target, ADeviceThatSomebodyUsesIsNotWrittenOver) {
  const std::string image = ::testing::TempDir() + fmt::format("ashlar_image_{}", ::getpid());
  std::ofstream(image) << std::string(2 << 20, 'x');
  const auto loop = ashlar::testing::LoopDevice::attach(image, 512);
  ::unlink(image.c_str());
  if (!loop) GTEST_SKIP() << loop.error().to_string();
  const int user = ::open(loop->path().c_str(), O_RDONLY | O_EXCL | O_CLOEXEC);
  ASSERT_GE(user, 0);
  const auto refused = TargetFile::open(loop->path(), 1 << 20, true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::busy);
  EXPECT_TRUE(TargetFile::open(loop->path(), 1 << 20, false));
  ::close(user);
}

TEST(Chart, HasALineForEachWayThatWasMeasured) {
  const std::string svg =
      render_chart("title & more", "<machine>",
                   {{.name = "ours", .points = {{20e3, 50, "QD 1"}, {90e3, 350, "QD 32"}}},
                    {.name = "theirs", .dashed = true, .points = {{15e3, 70, ""}}},
                    {.name = "failed", .points = {{std::nan(""), std::nan(""), ""}}}});
  EXPECT_THAT(svg, HasSubstr("title &amp; more"));
  EXPECT_THAT(svg, HasSubstr("&lt;machine&gt;"));
  EXPECT_THAT(svg, HasSubstr(">ours<"));
  EXPECT_THAT(svg, HasSubstr("stroke-dasharray"));
  EXPECT_THAT(svg, Not(HasSubstr(">failed<")));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(render_chart("empty", "", {}), HasSubstr("</svg>"));
}

}  // namespace
}  // namespace ashlar::bench::block

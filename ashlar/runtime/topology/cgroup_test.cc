#include "ashlar/runtime/topology/cgroup.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace ashlar {
namespace {

/// A file tree that stands for /proc and /sys of some machine.
class Cgroup : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "ashlar_cgroup_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  CgroupLimits read() const { return read_cgroup_limits(root_); }

 private:
  std::string root_;
};

constexpr const char* unified_mount =
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST_F(Cgroup, NothingToReadMeansNoLimit) {
  EXPECT_FALSE(read().cpus);
  EXPECT_FALSE(read().memory_bytes);
  write("/proc/self/mountinfo", std::string("garbage\n\n1 2 - \n") + unified_mount);
  write("/proc/self/cgroup", "0::/gone\nx\n");
  EXPECT_FALSE(read().cpus);
  EXPECT_FALSE(read().memory_bytes);
}

TEST_F(Cgroup, TakesTheTightestLimitOnTheWayUp) {
  write("/proc/self/mountinfo", unified_mount);
  write("/proc/self/cgroup", "0::/service/worker\n");
  write("/sys/fs/cgroup/service/cpu.max", "250000 100000\n");
  write("/sys/fs/cgroup/service/memory.max", "max\n");
  write("/sys/fs/cgroup/service/worker/cpu.max", "max 100000\n");
  write("/sys/fs/cgroup/service/worker/memory.max", "1073741824\n");
  EXPECT_EQ(read().cpus, 2.5);
  EXPECT_EQ(read().memory_bytes, 1u << 30);
  write("/sys/fs/cgroup/service/memory.max", "4096\n");
  EXPECT_EQ(read().memory_bytes, 4096u);
}

TEST_F(Cgroup, ReadsVersionOneBesideVersionTwo) {
  write("/proc/self/mountinfo",
        "1 0 0:1 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "2 0 0:2 / /sys/fs/cgroup/cpu,cpuacct rw shared:3 - cgroup cgroup rw,cpu,cpuacct\n"
        "3 0 0:3 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  write("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/b/c\n0::/\n");
  write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  write("/sys/fs/cgroup/memory/b/c/memory.limit_in_bytes", "9223372036854771712\n");
  write("/sys/fs/cgroup/memory/b/memory.limit_in_bytes", "2097152\n");
  EXPECT_EQ(read().cpus, 0.5);
  EXPECT_EQ(read().memory_bytes, 2'097'152u);
}

// A container sees its own group at the mount point, while /proc may tell the host's path.
TEST_F(Cgroup, FindsTheGroupInsideAContainer) {
  write("/proc/self/mountinfo", "2 0 0:2 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  write("/proc/self/cgroup", "4:memory:/docker/abc\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "8192\n");
  EXPECT_EQ(read().memory_bytes, 8192u);
  write("/proc/self/cgroup", "4:memory:/../outside\n");
  EXPECT_EQ(read().memory_bytes, 8192u);
}

}  // namespace
}  // namespace ashlar

/// The examples beside the devices of Ashlar: a layer that tries again, over one that fails by chance.

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "ashlar/layer/fault/fault_device.h"
#include "ashlar/runtime/sync/test_shard.h"
#include "examples/device/kinds.h"

namespace ashlar::examples {
namespace {

Task<> count_failures(std::string spec, unsigned* failed) {
  Registry registry;
  registry.add(heap_kind());
  registry.add(retry_kind());
  registry.add(fault_kind());
  auto device = co_await registry.open(spec);
  EXPECT_TRUE(device) << device.error().show(spec);
  Channel& channel = **co_await (*device)->channel();
  std::array<std::byte, 512> block{};
  for (std::uint64_t i = 0; i < 1000; ++i) {
    if (!co_await channel.read(Lba(i), block)) ++*failed;
    if (!co_await channel.flush()) ++*failed;
  }
  co_await (*device)->close();
}
unsigned failures(const std::string& spec) {
  testing::TestShard shard;
  unsigned failed = 0;
  shard.run(count_failures(spec, &failed));
  return failed;
}

TEST(RetryLayer, TriesReadsAgainAndFlushesNot) {
  EXPECT_GT(failures("fault(heap:1MiB)?seed=1&read-error=1/4"), 150u);
  EXPECT_EQ(failures("retry(fault(heap:1MiB)?seed=1&read-error=1/4)?times=30"), 0u);
  EXPECT_EQ(failures("retry(fault(heap:1MiB)?seed=1&read-error=1)?times=2"), 1000u);
  EXPECT_EQ(failures("retry(fault(heap:1MiB)?flush-error=1)?times=30"), 1000u);
}

}  // namespace
}  // namespace ashlar::examples

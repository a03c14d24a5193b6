#include "ashlar/runtime/topology/topology.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

namespace ashlar {
namespace {

Topology machine(const std::string& description, const CgroupLimits& limits = {},
                 std::vector<unsigned> allowed = {}) {
  auto topology = Topology::synthetic(description, limits, allowed);
  EXPECT_TRUE(topology) << topology.error().to_string();
  return *std::move(topology);
}

std::map<unsigned, unsigned> shards_per_node(const std::vector<Cpu>& placed) {
  std::map<unsigned, unsigned> count;
  for (const Cpu& cpu : placed) ++count[cpu.node];
  return count;
}

TEST(Topology, SeesThisMachineAsItMayBeUsed) {
  const Topology topology = Topology::detect();
  cpu_set_t mask;
  ASSERT_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
  ASSERT_EQ(topology.cpus().size(), static_cast<std::size_t>(CPU_COUNT(&mask)));
  for (const Cpu& cpu : topology.cpus()) EXPECT_TRUE(CPU_ISSET(cpu.id, &mask));
  EXPECT_GE(topology.shards_suggested(), 1u);
  EXPECT_LE(topology.shards_suggested(), topology.cpus().size());
  EXPECT_GT(topology.memory_bytes(), 1u << 20);
}

TEST(Topology, RespectsTheAffinityMask) {
  std::thread([] {
    const Cpu first = Topology::detect().cpus().front();
    ASSERT_TRUE(pin_this_thread(first));
    const Topology topology = Topology::detect();
    ASSERT_EQ(topology.cpus().size(), 1u);
    EXPECT_EQ(topology.cpus()[0].id, first.id);
    EXPECT_EQ(topology.shards_suggested(), 1u);
    EXPECT_EQ(topology.place(1).at(0).id, first.id);
    EXPECT_TRUE(topology.place(2).empty());
  }).join();
  EXPECT_FALSE(pin_this_thread({.id = 1'000}));
  EXPECT_FALSE(pin_this_thread({.id = 1'000'000}));
}

TEST(Topology, TakesPhysicalCoresBeforeTheirSecondThreads) {
  const Topology topology = machine("core:4 pu:2");
  EXPECT_EQ(topology.cpus().size(), 8u);
  EXPECT_EQ(topology.shards_suggested(), 4u);
  for (unsigned shards = 1; shards <= 8; ++shards) {
    const auto placed = topology.place(shards);
    ASSERT_EQ(placed.size(), shards);
    std::set<unsigned> cores;
    for (const Cpu& cpu : placed) cores.insert(cpu.core);
    EXPECT_EQ(cores.size(), std::min(shards, 4u));
  }
  EXPECT_TRUE(topology.place(9).empty());
}

TEST(Topology, StaysOnOneNodeWhileItFitsThenSpreadsEvenly) {
  const Topology topology = machine("numa:4 core:16 pu:1");
  EXPECT_EQ(topology.cpus().size(), 64u);
  EXPECT_EQ(topology.shards_suggested(), 64u);
  EXPECT_EQ(shards_per_node(topology.place(16)), (std::map<unsigned, unsigned>{{0, 16}}));
  EXPECT_EQ(shards_per_node(topology.place(18)), (std::map<unsigned, unsigned>{{0, 9}, {1, 9}}));
  EXPECT_EQ(shards_per_node(topology.place(41)), (std::map<unsigned, unsigned>{{0, 14}, {1, 14}, {2, 13}}));
  EXPECT_EQ(shards_per_node(topology.place(64)),
            (std::map<unsigned, unsigned>{{0, 16}, {1, 16}, {2, 16}, {3, 16}}));
}

// Any machine, any number of shards: each has a CPU of its own, and neighbours are on one node.
TEST(Topology, PlacesEveryCountOnEveryMachine) {
  for (const char* description :
       {"core:1 pu:1", "core:3 pu:1", "core:7 pu:2", "numa:2 core:3 pu:2", "numa:3 core:5 pu:1",
        "numa:2 core:16 pu:2", "pack:2 numa:2 core:16 pu:1"}) {
    const Topology topology = machine(description);
    const auto cpus = static_cast<unsigned>(topology.cpus().size());
    for (unsigned shards = 1; shards <= cpus; ++shards) {
      const auto placed = topology.place(shards);
      ASSERT_EQ(placed.size(), shards) << description;
      std::set<unsigned> ids;
      for (const Cpu& cpu : placed) ids.insert(cpu.id);
      EXPECT_EQ(ids.size(), shards) << description;
      EXPECT_TRUE(std::ranges::is_sorted(placed, {}, &Cpu::node)) << description;
    }
    EXPECT_TRUE(topology.place(cpus + 1).empty());
    EXPECT_TRUE(topology.place(0).empty());
  }
}

TEST(Topology, UsesOnlyWhatIsAllowed) {
  // The second threads of three cores, of which one lost its first.
  const Topology topology = machine("numa:2 core:2 pu:2", {}, {1, 2, 3, 6, 7});
  EXPECT_EQ(topology.cpus().size(), 5u);
  EXPECT_EQ(topology.shards_suggested(), 3u);
  EXPECT_EQ(topology.cpus()[0], (Cpu{.id = 1, .core = 0, .sibling = 0, .node = 0}));
  std::set<unsigned> ids;
  for (const Cpu& cpu : topology.place(3)) ids.insert(cpu.id);
  EXPECT_EQ(ids, (std::set<unsigned>{1, 2, 6}));
  EXPECT_FALSE(Topology::synthetic("core:2 pu:1", {}, std::vector{9u}));
  EXPECT_FALSE(Topology::synthetic("nonsense"));
}

TEST(Topology, RespectsTheLimitsOfControlGroups) {
  EXPECT_EQ(machine("core:8 pu:1", {.cpus = 2.5, .memory_bytes = {}}).shards_suggested(), 2u);
  EXPECT_EQ(machine("core:8 pu:1", {.cpus = 0.2, .memory_bytes = {}}).shards_suggested(), 1u);
  EXPECT_EQ(machine("core:8 pu:1", {.cpus = 100, .memory_bytes = {}}).shards_suggested(), 8u);
  EXPECT_EQ(machine("core:8 pu:1", {.cpus = {}, .memory_bytes = 4096}).memory_bytes(), 4096u);
  EXPECT_GT(machine("core:8 pu:1").memory_bytes(), 4096u);
}

}  // namespace
}  // namespace ashlar

/// Every engine that this build has, through the shape that it is measured in: what is put is found, in
/// order, again after it was closed.

#include "bench/kv/threads.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "bench/kv/stream.h"
#include "bench/process.h"

namespace ashlar::bench {
namespace {

Plan small(Mix mix) {
  Plan plan;
  plan.keys = 300;
  plan.mix = mix;
  plan.choice = Choice::shuffled;
  plan.operations = plan.keys;
  plan.timed = true;
  return plan;
}

void expect_all(Engine& engine, const std::string& name) {
  const auto session = engine.session();
  EXPECT_EQ(session->get(KeyText(17)).value_or(0), 100u) << name;
  EXPECT_EQ(session->get("no such key").value_or(1), 0u) << name;
  const KeyText one(1), other(299);
  const std::string_view keys[] = {one, "missing", other};
  EXPECT_EQ(session->multi_get(keys).value_or(0), 2u) << name;
}

void expect_scans(Engine& engine, const std::string& name) {
  const auto session = engine.session();
  EXPECT_EQ(session->scan(KeyText(290), 100, false).value_or(0), 10u) << name;
  EXPECT_EQ(session->scan(KeyText(5), 100, true).value_or(0), 6u) << name;
  EXPECT_EQ(session->scan(KeyText(0), 50, false).value_or(0), 50u) << name;
}

TEST(EnginesTest, KeepWhatIsPut) {
  for (const EngineKind& kind : engines()) {
    const std::string name = kind.engine + " " + kind.setup;
    const ScratchDirectory scratch(std::filesystem::temp_directory_path());
    const EngineOptions options{.directory = scratch.path(), .cache_bytes = 8u << 20, .sessions = 2};
    {
      const auto engine = kind.open(kind, options);
      ASSERT_TRUE(engine) << name << ": " << engine.error().to_string();
      Plan load = small({.updates = 100});
      load.workers = 2;
      load.settle = true;
      Meter meter(false);
      const auto outcome = run_by_threads(**engine, load, meter);
      ASSERT_TRUE(outcome) << name << ": " << outcome.error().to_string();
      EXPECT_EQ(outcome->operations, 300u) << name;
      EXPECT_EQ(outcome->latency_ns.count(), 300u) << name;
      const KeyText first(0), last(299);
      const Pair pairs[] = {{first, std::string_view("x")}, {last, std::string_view("y")}};
      EXPECT_TRUE((*engine)->session()->put(pairs, true)) << name;
      EXPECT_EQ((*engine)->session()->get(first).value_or(0), 1u) << name;
      EXPECT_TRUE((*engine)->settle()) << name;
    }
    const auto engine = kind.open(kind, options);
    ASSERT_TRUE(engine) << name << ": " << engine.error().to_string();
    expect_all(**engine, name);
    if (kind.setup != "plain-table") expect_scans(**engine, name);  // whose index knows whole keys only
    Meter meter(false);
    const auto read = run_by_threads(**engine, small({.reads = 100}), meter);
    ASSERT_TRUE(read) << name;
    EXPECT_EQ(read->missing, 0u) << name;
  }
}

}  // namespace
}  // namespace ashlar::bench

/// kv-scan: short ranges at random places, all of it, and all of it backwards. Figures are entries per
/// second.

#include <string>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/units.h"
#include "bench/case.h"
#include "bench/kv/contest.h"

namespace ashlar::bench {

namespace {

constexpr std::uint64_t key_count = 2'000'000;

KvCase scan(const std::string& name, unsigned entries, bool backward, const char* engine, const char* setup) {
  KvCase made;
  made.name = "kv-scan/" + name;
  made.summary = fmt::format("{} entries from a random key{}, beside {}, {}", entries,
                             backward ? ", backwards" : "", engine, setup);
  made.plan = {.keys = key_count,
               .mix = {.scans = 100},
               .scan_entries = entries,
               .backward = backward,
               .warm = true,
               .rest_seconds = 0.2};
  made.ours.engine.cache_bytes = made.peer_cache_bytes = 1_GiB;
  made.peer_engine = engine;
  made.peer_setup = setup;
  made.target = std::string_view(engine) == "RocksDB" ? 1.5 : 0;
  return made;
}

}  // namespace

void add_kv_scan_cases(std::vector<Case>& cases) {
  constexpr unsigned few = 100, many = 200'000;
  const auto add = [&](const std::string& suffix, const char* engine, const char* setup) {
    cases.push_back(make_case(scan("short-" + suffix, few, false, engine, setup)));
    cases.push_back(make_case(scan("long-" + suffix, many, false, engine, setup)));
    cases.push_back(make_case(scan("reverse-" + suffix, many, true, engine, setup)));
  };
  add("default", "RocksDB", "default");
  add("tuned", "RocksDB", "tuned");
  add("LevelDB", "LevelDB", "tuned");
  add("LMDB", "LMDB", "default");
  add("WiredTiger", "WiredTiger", "default");

  KvCase cold = scan("cold", many, false, "RocksDB", "tuned");
  cold.summary += ", O_DIRECT, no cache";
  cold.direct = true;
  cold.plan.warm = false;
  cold.ours.engine.cache_bytes = 1_MiB;
  cases.push_back(make_case(cold));
}

}  // namespace ashlar::bench

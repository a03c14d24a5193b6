/// The table of engines. A peer that was not found when this was configured has no file here and no entry.

#include "bench/kv/engine.h"

namespace ashlar::bench {

Result<std::size_t> Session::multi_get(std::span<const std::string_view> keys) {
  std::size_t found = 0;
  for (const std::string_view key : keys) found += TRY(get(key)) != 0 ? 1 : 0;
  return found;
}

const std::vector<EngineKind>& engines() {
  static const std::vector<EngineKind> all = [] {
    std::vector<EngineKind> found;
#ifdef ASHLAR_BENCH_ASHLAR
    add_ashlar_engines(found);
#endif
#ifdef ASHLAR_BENCH_ROCKSDB
    add_rocksdb_engines(found);
#endif
#ifdef ASHLAR_BENCH_LEVELDB
    add_leveldb_engines(found);
#endif
#ifdef ASHLAR_BENCH_LMDB
    add_lmdb_engines(found);
#endif
#ifdef ASHLAR_BENCH_WIREDTIGER
    add_wiredtiger_engines(found);
#endif
    return found;
  }();
  return all;
}

const EngineKind* find_engine(std::string_view engine, std::string_view setup) {
  for (const EngineKind& each : engines()) {
    if (each.engine == engine && each.setup == setup) return &each;
  }
  return nullptr;
}

}  // namespace ashlar::bench

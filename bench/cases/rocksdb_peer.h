#pragma once

/// RocksDB as a peer; the one place that knows its headers. Where it is not here, nothing of it is built.

#include <cstdint>
#include <memory>
#include <string>

#include "ashlar/base/result.h"
#include "bench/case.h"
#include "bench/cases/workload.h"

namespace ashlar::bench {

class RocksdbPeer {
 public:
  enum class Setup : std::uint8_t {
    defaults,
    hash_index,   ///< block-based: hash index in the blocks, bloom filter, 1 GiB of cache
    plain_table,  ///< PlainTable over mmap, hash index over whole keys, for gets in memory
    sync_writes,  ///< recycled logs, pipelined writes
  };

  static Result<RocksdbPeer> open(const std::string& directory, Setup setup);
  RocksdbPeer(RocksdbPeer&&) noexcept;
  ~RocksdbPeer();

  /// Loads the keys, flushes and compacts, then nanoseconds for each get, on one core.
  Result<Sample> measure_get(const Keys& keys, std::uint64_t slices);
  /// Puts per second of so many threads, each put durable when it returns.
  Result<Sample> measure_put(unsigned writers, std::uint64_t count_each);

 private:
  struct State;
  explicit RocksdbPeer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

bool rocksdb_is_here();
std::string rocksdb_version();

inline std::string describe(RocksdbPeer::Setup setup) {
  switch (setup) {
    case RocksdbPeer::Setup::defaults: return "defaults";
    case RocksdbPeer::Setup::hash_index: return "hash index in blocks, bloom filter, 1 GiB cache";
    case RocksdbPeer::Setup::plain_table: return "PlainTable, mmap";
    case RocksdbPeer::Setup::sync_writes: return "recycled logs, pipelined writes";
  }
  return "";
}

}  // namespace ashlar::bench

#pragma once

/// Options of the log-structured engine.

#include <cstdint>

#include "ashlar/blob/directory/directory_store.h"
#include "ashlar/kv/lsm/table/format.h"
#include "ashlar/log/options.h"

namespace ashlar {
class OptionSet;
}

namespace ashlar::lsm {

struct LsmOptions {
  std::uint32_t partitions = 0;              ///< of a new directory; 0: one per shard
  std::uint64_t memtable_bytes = 32u << 20;  ///< a memtable is flushed beyond this
  std::uint32_t memtables_max = 3;  ///< of one partition, the one being written included; then writers wait
  std::uint64_t cache_bytes = 256u << 20;  ///< block cache of the store, divided between shards
  std::uint64_t block_cache_slots = 0;     ///< the same as a number of blocks, which goes before; 0: in bytes
  std::uint64_t flat_index_bytes = 64u
                                   << 20;  ///< of one partition; tables written beyond that are partitioned
  bool ribbon_filters = true;              ///< in the deepest level
  std::uint32_t level0_tables = 4;         ///< so many are merged into level 1
  std::uint32_t level0_tables_max = 20;    ///< so many make writers wait
  std::uint64_t level1_bytes =
      256u << 20;  ///< of one partition; each further level holds level_ratio times as much
  std::uint32_t level_ratio = 10;
  std::uint64_t table_bytes = 64u << 20;  ///< tables that compaction writes are cut here
  TableOptions table;
  wal::LogOptions log{.segment_bytes = 32u << 20};
  blob::DirectoryOptions directory{.reserve_bytes = 32u << 20};  ///< of one partition
};
/// Bytes of block cache of the whole store.
inline std::uint64_t cache_bytes_of(const LsmOptions& options) noexcept {
  return options.block_cache_slots != 0 ? options.block_cache_slots * options.table.block_bytes
                                        : options.cache_bytes;
}

/// Declares them; those of log and directory are declared by their own modules.
void describe(OptionSet& set, LsmOptions& options);

}  // namespace ashlar::lsm

#pragma once

/// Options of the log-structured engine.

#include <algorithm>
#include <cstdint>
#include <string>

#include "ashlar/blob/directory/directory_store.h"
#include "ashlar/kv/lsm/table/format.h"
#include "ashlar/kv/merge_operator.h"
#include "ashlar/log/options.h"

namespace ashlar {
class OptionSet;
}

namespace ashlar::lsm {

/// What the store is to be good at: decides how its tables are arranged (docs/compaction.md).
enum class Goal : std::uint8_t {
  balanced,     ///< few writes at little space: runs collect above one large, leveled bottom
  write_heavy,  ///< the fewest writes; up to twice the space
  read_heavy,   ///< the fewest places to look: every level is one run
  space_bound,  ///< as read_heavy, compressed, and dead entries go sooner
};

/// How data blocks are compressed, by level.
enum class CompressionPolicy : std::uint8_t {
  by_goal,  ///< by_level where space is what counts, none otherwise
  none,
  lz4,
  zstd,
  by_level,  ///< lz4 above, zstd at the bottom, where data stays longest
};

/// Any one read or write of a job counts for as much at most.
constexpr std::uint64_t background_bytes_min = 1u << 20;

struct LsmOptions {
  Goal goal = Goal::balanced;
  std::uint32_t partitions = 0;              ///< of a new directory; 0: one per shard
  std::uint64_t memtable_bytes = 32u << 20;  ///< a memtable is flushed beyond this
  std::uint32_t memtables_max = 3;  ///< of one partition, full ones; writers are slowed before, and wait then
  std::uint64_t cache_bytes = 256u << 20;  ///< block cache of the store, divided between shards
  std::uint64_t block_cache_slots = 0;     ///< the same as a number of blocks, which goes before; 0: in bytes
  std::uint64_t flat_index_bytes = 64u
                                   << 20;   ///< of one partition; tables written beyond that are partitioned
  bool ribbon_filters = true;               ///< in the deepest level
  std::uint32_t level0_tables = 0;          ///< so many are merged further down; 0: as the goal says
  std::uint32_t level0_tables_max = 32;     ///< from half of it on writers are slowed, here the most
  std::uint64_t level1_bytes = 256u << 20;  ///< of one partition; with less below it, no level is kept
  std::uint32_t compactions = 3;            ///< of one shard at once
  std::uint64_t background_bytes = 2u << 20;  ///< that compactions of one shard have with the device at once
  std::uint32_t background_shards = 0;        ///< set aside for compaction, behind those with partitions
  std::uint32_t idle_shards = ~0u;  ///< of those with partitions, the first that take parts of others' jobs
                                    ///< where they have time: all but one that the program drives
  CompressionPolicy compression = CompressionPolicy::by_goal;
  std::uint64_t separate_bytes = 4096;    ///< values from this size on stand in value tables; 0: none
  std::uint64_t table_bytes = 64u << 20;  ///< tables that compaction writes are cut here
  std::string merge_operator = {};  ///< of the store's own keys, by name; empty: the recorded one, if any
  const kv::MergeOperators* merge_operators = nullptr;  ///< outlives the store; null: those that are built in
  TableOptions table;
  wal::LogOptions log{.segment_bytes = 32u << 20};
  blob::DirectoryOptions directory{.reserve_bytes = 32u << 20};  ///< of one partition
};
/// Bytes of block cache of the whole store.
inline std::uint64_t cache_bytes_of(const LsmOptions& options) noexcept {
  return options.block_cache_slots != 0 ? options.block_cache_slots * options.table.block_bytes
                                        : options.cache_bytes;
}
/// Of `all` shards, those that have partitions; what follows them is set aside. At least one.
inline unsigned serving_shards(const LsmOptions& options, unsigned all) noexcept {
  return all - std::min<unsigned>(options.background_shards, all - 1);
}
/// How tables of a level are written, as far as the level decides; table_choice.h has the whole.
TableOptions table_options(const LsmOptions& options, unsigned level) noexcept;

/// Declares them; those of log and directory are declared by their own modules.
void describe(OptionSet& set, LsmOptions& options);

}  // namespace ashlar::lsm

#include "ashlar/kv/lsm/options.h"

#include <cassert>

#include "ashlar/base/options.h"
#include "ashlar/base/units.h"
#include "ashlar/kv/key.h"
#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/kv/partitioner.h"

namespace ashlar::lsm {

namespace {

Compression compression_of(const LsmOptions& options, unsigned level) noexcept {
  switch (options.compression) {
    case CompressionPolicy::by_goal:
      if (options.goal != Goal::space_bound) return Compression::none;
      [[fallthrough]];
    case CompressionPolicy::by_level: return level + 1 == level_count ? Compression::zstd : Compression::lz4;
    case CompressionPolicy::none: return Compression::none;
    case CompressionPolicy::lz4: return Compression::lz4;
    case CompressionPolicy::zstd: return Compression::zstd;
  }
  __builtin_unreachable();
}

}  // namespace

TableOptions table_options(const LsmOptions& options, unsigned level) noexcept {
  TableOptions result = options.table;
  result.compression = compression_of(options, level);
  return result;
}

void describe(OptionSet& set, LsmOptions& options) {
  assert(LsmOptions().log.segment_bytes > 16_KiB + kv::value_bytes_max + kv::stored_key_bytes_max &&
         "a log segment holds the largest batch");
  set.add("kv.partitions", options.partitions,
          {.max = kv::partition_count_max,
           .test_max = 4,
           .help = "Partitions of a new data directory; 0: one per shard"});
  set.add(
      "kv.goal", options.goal,
      {.names = {"balanced", "write-heavy", "read-heavy", "space-bound"},
       .help = "What the store is to be good at: how tables are arranged, merged and compressed follows"});
  set.add("kv.memtable-bytes", options.memtable_bytes,
          {.unit = Unit::bytes,
           .min = 64_KiB,
           .max = 4_GiB,
           .test_max = 1_MiB,
           .help = "A memtable is flushed beyond this"});
  set.add("kv.memtables", options.memtables_max,
          {.min = 2, .max = 64, .help = "Full memtables of one partition before its writers wait"});
  set.add("kv.cache-bytes", options.cache_bytes,
          {.unit = Unit::bytes,
           .min = 1_MiB,
           .max = 1_TiB,
           .test_max = 4_MiB,
           .help = "Block cache, divided between the shards"});
  set.add("kv.block-cache-slots", options.block_cache_slots,
          {.max = std::uint64_t{1} << 32,
           .test_max = 1024,
           .help = "Block cache as a number of blocks, instead of kv.cache-bytes; 0: by bytes"});
  set.add(
      "kv.flat-index-bytes", options.flat_index_bytes,
      {.unit = Unit::bytes,
       .max = 1_TiB,
       .test_max = 1_MiB,
       .help =
           "Indexes and filters of a partition that stay in memory; tables written beyond that keep theirs "
           "in the block cache"});
  set.add("kv.ribbon-filters", options.ribbon_filters,
          {.help = "Ribbon filters in the deepest level: a quarter less memory, more work in a look-up"});
  set.add("kv.level0-tables", options.level0_tables,
          {.max = 64, .help = "Flushed tables that are merged further down; 0: as the goal says"});
  set.add(
      "kv.level0-tables-max", options.level0_tables_max,
      {.min = 4, .max = 1024, .help = "Flushed tables that slow writers the most; half as many begin to"});
  set.add("kv.level1-bytes", options.level1_bytes,
          {.unit = Unit::bytes,
           .min = 1_MiB,
           .max = 1_TiB,
           .test_max = 4_MiB,
           .help = "Of a partition: with less data than this below it, no level is kept"});
  set.add("kv.compactions", options.compactions,
          {.min = 2,
           .max = 64,
           .help = "Jobs of compaction on one shard at once; one is kept for flushed tables"});
  set.add("kv.table-bytes", options.table_bytes,
          {.unit = Unit::bytes,
           .min = 64_KiB,
           .max = 4_GiB,
           .test_max = 2_MiB,
           .help = "Size of the tables that compaction writes"});
  set.add("kv.separate-values", options.separate_bytes,
          {.unit = Unit::bytes,
           .max = kv::value_bytes_max,
           .test_max = 1_MiB,
           .help = "Values from this size on stand in tables of their own, which compaction does not rewrite "
                   "until half of one is garbage; 0: none"});
  set.add(
      "kv.merge-operator", options.merge_operator,
      {.form = "NAME",
       .help = "Merge operator of the store's own keys (append, append:C, add64, max64, min64, max, min); "
               "recorded when first given"});
  set.add("kv.block-bytes", options.table.block_bytes,
          {.unit = Unit::bytes,
           .min = block_bytes_min,
           .max = 256_KiB,
           .multiple_of = 4_KiB,
           .help = "Size of a table's blocks: 4KiB, 8KiB, 16KiB, 32KiB, 64KiB, 128KiB or 256KiB"});
  set.add("kv.filter-bits", options.table.filter_bits_per_key,
          {.max = 30, .help = "Bits of filter per key; 0: no filter"});
  set.add("kv.background-bytes", options.background_bytes,
          {.unit = Unit::bytes,
           .min = background_bytes_min,
           .max = 1_GiB,
           .help = "Bytes that compactions of one shard have with the device at once: what a read may find "
                   "in its way there"});
  set.add(
      "kv.background-shards", options.background_shards,
      {.max = 1023,
       .test_max = 2,
       .help = "Shards that do nothing but compact, so that none that serves has to; at least one serves. "
               "0: every shard compacts its own, and others' where it is idle"});
  set.add("kv.compression", options.compression,
          {.names = {"by-goal", "none", "lz4", "zstd", "by-level"},
           .help = "Compression of table blocks; by-level: lz4 above, zstd at the bottom; by-goal: by-level "
                   "for space-bound, none otherwise"});
  set.add("kv.zstd-level", options.table.zstd_level,
          {.min = 1, .max = 19, .help = "Level of zstd, where it compresses"});
}

}  // namespace ashlar::lsm

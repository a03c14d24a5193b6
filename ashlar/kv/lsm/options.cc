#include "ashlar/kv/lsm/options.h"

#include "ashlar/base/options.h"
#include "ashlar/base/units.h"
#include "ashlar/kv/key.h"
#include "ashlar/kv/partitioner.h"

namespace ashlar::lsm {

static_assert(LsmOptions{}.log.segment_bytes > 16_KiB + kv::value_bytes_max + kv::stored_key_bytes_max,
              "a log segment holds the largest batch");

void describe(OptionSet& set, LsmOptions& options) {
  set.add("kv.partitions", options.partitions,
          {.max = kv::partition_count_max,
           .test_max = 4,
           .help = "Partitions of a new data directory; 0: one per shard"});
  set.add("kv.memtable-bytes", options.memtable_bytes,
          {.unit = Unit::bytes,
           .min = 64_KiB,
           .max = 4_GiB,
           .test_max = 1_MiB,
           .help = "A memtable is flushed beyond this"});
  set.add("kv.memtables", options.memtables_max,
          {.min = 2, .max = 64, .help = "Memtables of one partition before its writers wait"});
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
          {.min = 1, .max = 64, .help = "Flushed tables that are merged into level 1"});
  set.add("kv.level0-tables-max", options.level0_tables_max,
          {.min = 4, .max = 1024, .help = "Flushed tables that make writers wait"});
  set.add("kv.level1-bytes", options.level1_bytes,
          {.unit = Unit::bytes,
           .min = 1_MiB,
           .max = 1_TiB,
           .test_max = 4_MiB,
           .help = "Size of level 1 of a partition before it is merged into level 2"});
  set.add("kv.level-ratio", options.level_ratio,
          {.min = 2, .max = 100, .help = "How many times larger each further level is"});
  set.add("kv.table-bytes", options.table_bytes,
          {.unit = Unit::bytes,
           .min = 64_KiB,
           .max = 4_GiB,
           .test_max = 2_MiB,
           .help = "Size of the tables that compaction writes"});
  set.add("kv.block-bytes", options.table.block_bytes,
          {.unit = Unit::bytes,
           .min = block_bytes_min,
           .max = 256_KiB,
           .multiple_of = 4_KiB,
           .help = "Size of a table's blocks: 4KiB, 8KiB, 16KiB, 32KiB, 64KiB, 128KiB or 256KiB"});
  set.add("kv.filter-bits", options.table.filter_bits_per_key,
          {.max = 30, .help = "Bits of filter per key; 0: no filter"});
  set.add("kv.compression", options.table.compression,
          {.names = {"none", "lz4"}, .help = "Compression of table blocks"});
}

}  // namespace ashlar::lsm

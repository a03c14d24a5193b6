#pragma once

/// What a partition knows of itself, in figures.

#include <array>
#include <cstdint>
#include <optional>

#include "ashlar/base/error.h"
#include "ashlar/kv/key.h"

namespace ashlar::kv {

/// One level of a sorted engine's tables.
struct LevelStats {
  std::uint64_t runs = 0, tables = 0, bytes = 0;    ///< now; bytes with the values that its tables refer to
  std::uint64_t read_bytes = 0, written_bytes = 0;  ///< by flush and compaction, from it and to it
};
constexpr unsigned level_stats_max = 7;

/// Figures of a partition. Bytes and counts now, or since it was opened where they grow.
struct PartitionStats {
  std::uint64_t memtable_bytes = 0, memtable_entries = 0;
  std::uint64_t table_count = 0, table_bytes = 0,
                table_entries = 0;  ///< entries: versions, not distinct keys
  std::uint64_t log_bytes = 0;
  std::uint64_t writes = 0, write_bytes = 0, reads = 0, reads_from_device = 0;
  std::array<std::uint64_t, kind_count> writes_by_kind{};  ///< `writes`, by Kind
  std::uint64_t log_write_bytes = 0;                       ///< written to the log, whole blocks
  std::uint64_t flushes = 0, flush_bytes = 0;
  std::uint64_t compactions = 0, compaction_bytes = 0;  ///< bytes: written
  std::uint64_t compaction_read_bytes = 0;
  std::uint64_t compaction_parts = 0;  ///< that jobs were divided into
  std::uint64_t helped_parts = 0;      ///< of them, those that other shards worked on
  std::uint64_t compaction_debt_bytes =
      0;  ///< estimate of what must be written until every level has its size
  std::uint64_t compactions_running = 0;
  bool compaction_stuck = false;  ///< those that run have merged nothing for a minute
  std::array<LevelStats, level_stats_max> levels{};
  std::uint64_t value_table_count = 0, value_table_bytes = 0;  ///< docs/formats/value-table.md
  std::uint64_t live_value_bytes = 0;                          ///< of them, what tables refer to
  std::uint64_t moved_value_bytes = 0;  ///< written again, to empty value tables with garbage
  std::uint64_t moves = 0;              ///< tables that went to another level as they were
  std::uint64_t delayed_writes = 0;     ///< slowed down, for at most 100 ms each
  std::uint64_t stalls = 0;  ///< times that writers waited until the log caught up, or a memtable was flushed
  /// The longest that the engine itself made a write wait: slowed down, and until a memtable was flushed.
  std::uint64_t longest_delay_ns = 0, longest_stall_ns = 0;
  std::uint64_t longest_log_wait_ns = 0;  ///< the same until the device had written what the log has queued
  std::uint64_t failed_jobs = 0;          ///< attempts of flush and compaction that failed
  std::optional<Error> flush_error = {},
                       compaction_error = {};  ///< while the last attempt of that kind has failed

  /// Bytes that reached the device, per byte that callers wrote, once in the log and again in tables.
  double write_amplification() const noexcept {
    const std::uint64_t written = log_write_bytes + flush_bytes + compaction_bytes;
    return write_bytes == 0 ? 0 : static_cast<double>(written) / static_cast<double>(write_bytes);
  }
  /// Bytes of tables, of keys and of values, per byte that is not stored a second time further down: an
  /// estimate, which takes the deepest run for all there is. 1 where there is nothing.
  double space_amplification() const noexcept {
    for (std::size_t level = levels.size(); level-- > 0;) {
      if (levels[level].bytes != 0)
        return static_cast<double>(table_bytes + value_table_bytes) /
               static_cast<double>(levels[level].bytes);
    }
    return 1;
  }
};

}  // namespace ashlar::kv

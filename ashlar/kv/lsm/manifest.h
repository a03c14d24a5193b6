#pragma once

/// What a partition consists of, and the edits that change it. Encoding only; kept by ManifestLog.
/// Format: docs/formats/manifest.md.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/key.h"

namespace ashlar::lsm {

constexpr unsigned level_count = 7;

/// What the manifest says of one table.
struct TableMeta {
  unsigned level = 0;
  std::uint64_t run = 0;  ///< of its level, disjoint; a run with a greater number is newer
  std::uint64_t number = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t entries = 0;
  std::uint64_t tombstones = 0;
  Sequence smallest_sequence, largest_sequence;
  std::string smallest_key, largest_key;  ///< stored form, both in the table
  bool ingested = false;                  ///< its entries have this sequence, whatever the file says

  bool operator==(const TableMeta&) const = default;
};

/// What the manifest says of one value table. What of it is alive, its key tables say (version.h).
struct ValueTableMeta {
  std::uint64_t number = 0;
  std::uint64_t data_bytes = 0;  ///< of values, where its data ends

  bool operator==(const ValueTableMeta&) const = default;
};

/// The run of a table that does not name one: on level 0 its own, below the one that leveled compaction
/// keeps.
constexpr std::uint64_t default_run(unsigned level, std::uint64_t number) noexcept {
  return level == 0 ? number : 0;
}

/// A change of the state, applied whole. Fields that are not set stay as they are.
struct Edit {
  bool snapshot = false;  ///< forget everything before
  std::optional<std::uint64_t> partition = {};
  std::optional<std::uint64_t> next_number = {};  ///< of tables and manifest blobs
  std::optional<Sequence> flushed = {};           ///< writes up to here are in tables
  std::optional<std::uint64_t> log_index = {};    ///< first log record still needed
  std::optional<Sequence> cleared = {};           ///< entries below are absent
  std::optional<Sequence> last_sequence = {};     ///< sequences go on above this
  std::vector<TableMeta> added = {};
  std::vector<std::uint64_t> removed = {};
  std::vector<ValueTableMeta> added_values = {};
  std::vector<std::uint64_t> removed_values = {};

  std::vector<std::byte> encode() const;
  /// `corrupt` at `place` + the byte where it goes wrong; `unsupported` where a newer version wrote it.
  static Result<Edit> decode(Bytes bytes, ErrorPlace place);
};

/// The sum of the edits. Invariants: tables of a run are disjoint; a number names one table, of keys or of
/// values; every number, of tables and of runs, is below next_number; sequences never go back.
struct ManifestState {
  std::uint64_t partition = 0;
  std::uint64_t next_number = 1;
  Sequence flushed;
  std::uint64_t log_index = 0;
  Sequence cleared;
  Sequence last_sequence;
  std::map<std::uint64_t, TableMeta> tables;       ///< by number
  std::map<std::uint64_t, ValueTableMeta> values;  ///< likewise

  /// All or nothing: `corrupt` at `place` leaves the state as it was.
  Result<> apply(const Edit& edit, ErrorPlace place);
  Edit snapshot() const;
  /// Of tables of either kind, ascending.
  std::vector<std::uint64_t> numbers() const;
  /// Of a table of either kind that is there.
  std::uint64_t file_bytes(std::uint64_t number) const;
  /// All tables: by level, the newest run of each first, and those of a run in order of their keys.
  std::vector<const TableMeta*> in_order() const;
};

}  // namespace ashlar::lsm

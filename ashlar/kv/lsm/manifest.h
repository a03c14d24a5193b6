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
  std::uint64_t number = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t entries = 0;
  std::uint64_t tombstones = 0;
  Sequence smallest_sequence, largest_sequence;
  std::string smallest_key, largest_key;  ///< stored form, both in the table

  bool operator==(const TableMeta&) const = default;
};

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

  std::vector<std::byte> encode() const;
  /// `corrupt` at `place` + the byte where it goes wrong; `unsupported` where a newer version wrote it.
  static Result<Edit> decode(Bytes bytes, ErrorPlace place);
};

/// The sum of the edits. Invariants: tables of a level above 0 are disjoint; a number names one table; every
/// number is below next_number; sequences never go back.
struct ManifestState {
  std::uint64_t partition = 0;
  std::uint64_t next_number = 1;
  Sequence flushed;
  std::uint64_t log_index = 0;
  Sequence cleared;
  Sequence last_sequence;
  std::map<std::uint64_t, TableMeta> tables;  ///< by number

  /// All or nothing: `corrupt` at `place` leaves the state as it was.
  Result<> apply(const Edit& edit, ErrorPlace place);
  Edit snapshot() const;
  /// Tables of a level: level 0 newest first, the others in order of their keys.
  std::vector<const TableMeta*> level(unsigned level) const;
};

}  // namespace ashlar::lsm

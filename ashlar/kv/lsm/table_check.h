#pragma once

/// Reads a table from its first byte to its last and checks all that its format promises: every checksum,
/// zeroes where there must be zeroes, the order of entries, and that index, filter, hash tables and
/// properties tell the truth. What a reader takes on trust is checked here. Format: docs/formats/table.md.

#include <atomic>
#include <cstdint>

#include "ashlar/blob/store.h"
#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/kv/lsm/table/properties.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::lsm {

/// How far it is; read by whoever shows it, on any shard.
struct CheckProgress {
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::uint64_t> tables{0};
};

/// Takes the entries of a table in order; an error ends the walk with it.
class EntryVisitor {
 public:
  /// `place`: table and offset of its block.
  virtual Result<> on_entry(const Entry& entry, ErrorPlace place) = 0;

 protected:
  ~EntryVisitor() = default;
};

/// What a manifest would say of a table with these properties.
TableMeta table_meta(const Properties& properties, std::uint64_t number, std::uint64_t file_bytes,
                     unsigned level);

/// The table as a manifest would name it, on level 0. `partition`: whose it must be. `visitor` is shown each
/// entry, once the block that holds it is known to be whole. Memory: some megabytes,
/// and the table's filter and index. `corrupt` with table and offset, errors of reading as they are.
Task<Result<TableMeta>> check_table(blob::Store& blobs, std::uint64_t partition, std::uint64_t number,
                                    CheckProgress* progress = nullptr, EntryVisitor* visitor = nullptr);

}  // namespace ashlar::lsm

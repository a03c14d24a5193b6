#pragma once

/// Reads all of a data set that nobody has open, and says what of it is damaged: root record, manifests, logs
/// and tables. Changes nothing, but for what every open removes: blobs whose creation was interrupted.

#include <cstdint>
#include <vector>

#include "ashlar/blob/home.h"
#include "ashlar/kv/lsm/table_check.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::lsm {

/// One thing that is wrong. The error's object is the number of table, segment or root; its offset is in
/// that.
struct Damage {
  enum class Part : std::uint8_t {
    root,      ///< of the data set
    store,     ///< the blob store of a partition does not open
    manifest,  ///< segments of log 1
    log,       ///< segments of log 0
    table,
  };
  Part part = Part::root;
  std::uint32_t partition = 0;
  Error error;
};

struct VerifyReport {
  std::uint64_t partitions = 0;
  std::uint64_t tables = 0, table_bytes = 0, entries = 0;  ///< that the manifests name and that are whole
  std::uint64_t value_tables = 0, value_table_bytes = 0;   ///< likewise
  std::uint64_t log_records = 0;                           ///< that an open would replay
  std::uint64_t unreferenced_tables = 0;                   ///< that the next open removes
  std::uint64_t quarantined_blobs = 0;                     ///< that a repair has set aside
  std::vector<Damage> damages;                             ///< by partition

  void add(VerifyReport other);
};

struct VerifyOptions {
  unsigned shards = 1;          ///< partition i is read on shard i modulo this
  unsigned tables_at_once = 4;  ///< of one partition
  CheckProgress* progress = nullptr;
};

/// Opens the data set at `home` and closes it again, on the home's shard. An error only where it cannot be
/// looked at (`busy`, `not_found` where there is none); damage is in the report.
Task<Result<VerifyReport>> verify_data_set(blob::Home& home, VerifyOptions options);

/// The same for one partition, on its shard.
Task<VerifyReport> verify_partition(blob::Store& blobs, std::uint32_t partition, VerifyOptions options);

}  // namespace ashlar::lsm

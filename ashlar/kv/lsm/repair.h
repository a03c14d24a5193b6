#pragma once

/// Makes a damaged data set open again, with everything of it that can be read. What cannot be read is set
/// aside under another number, and never deleted. docs/formats/directory.md, "Repair".

#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/blob/home.h"
#include "ashlar/kv/lsm/options.h"
#include "ashlar/kv/lsm/verify.h"

namespace ashlar::lsm {

/// A table of keys or values that is lost. What is known of it comes from the manifest, where that can be
/// read.
struct LostTable {
  std::uint64_t number = 0;
  Error why;
  std::uint64_t entries = 0;  ///< 0: not known
  std::string smallest_key, largest_key;
};

struct PartitionRepair {
  std::uint32_t partition = 0;
  bool healthy = false;           ///< nothing was done
  bool manifest_rebuilt = false;  ///< from the tables: what was cleared or deleted may be back, see the page
  bool log_salvaged = false;      ///< of its records, what could be read is in tables now
  std::uint64_t tables = 0;       ///< in the manifest afterwards
  std::uint64_t values_lost = 0;  ///< entries that were left out, because their values cannot be read
  std::uint64_t tables_merged = 0;  ///< that had to be merged, because nothing said which is newer
  std::uint64_t records_salvaged = 0;
  /// Left out: those that do not decode, and parts of transactions across partitions of whose outcome this
  /// log says nothing.
  std::uint64_t records_in_doubt = 0;
  std::vector<LostTable> lost;
};

struct RepairOptions {
  bool force = false;  ///< rebuild the manifest also where it can be read
};

/// On the partition's shard, of a store that nobody else uses. On an error the partition is as it was, or
/// repairable again.
Task<Result<PartitionRepair>> repair_partition(blob::Store& blobs, std::uint32_t partition,
                                               const LsmOptions& options, RepairOptions how);

/// All partitions of the data set at `home`, which it opens and closes, on the current shard. Each is looked
/// at first; where nothing is damaged, nothing is written. Without its root record a data set cannot be
/// repaired: which key belongs to which partition stands only there.
Task<Result<std::vector<PartitionRepair>>> repair_data_set(blob::Home& home, const LsmOptions& options,
                                                           RepairOptions how);

}  // namespace ashlar::lsm

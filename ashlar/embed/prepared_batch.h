#pragma once

/// A batch as a partition takes it.

#include <vector>

#include "ashlar/embed/engine.h"
#include "ashlar/embed/write_batch.h"

namespace ashlar::embed {

/// Its views are of the batch, which outlives it.
class PreparedBatch {
 public:
  /// `too_large` for a key, `unsupported` where the keys are of several partitions.
  Result<> read(const Engine& engine, const WriteBatch& batch);

  kv::PartitionId partition() const noexcept { return partition_; }
  std::span<const kv::Write> writes() const noexcept { return writes_; }

 private:
  kv::PartitionId partition_;
  std::vector<kv::StoredKey> keys_;
  std::vector<kv::Write> writes_;
};

}  // namespace ashlar::embed

#pragma once

/// A batch as a partition takes it.

#include <deque>
#include <string>
#include <vector>

#include "ashlar/embed/engine.h"
#include "ashlar/embed/write_batch.h"

namespace ashlar::embed {

/// Its views are of the batch, which outlives it.
class PreparedBatch {
 public:
  /// `too_large` for a key; `unsupported` for a range of keys, where they are spread by hash or the batch is
  /// of several partitions.
  Result<> read(const kv::Partitioner& partitioner, const WriteBatch& batch);

  /// Of the first write.
  kv::PartitionId partition() const noexcept { return partition_; }
  bool across() const noexcept { return across_; }
  std::span<const kv::Write> writes() const noexcept { return writes_; }

 private:
  void note(kv::PartitionId id) noexcept {
    if (writes_.empty()) partition_ = id;
    across_ |= id != partition_;
  }

  kv::PartitionId partition_;
  bool across_ = false;
  std::deque<std::string> ends_;  // of ranges, in stored form
  std::vector<kv::StoredKey> keys_;
  std::vector<kv::Write> writes_;
};

}  // namespace ashlar::embed

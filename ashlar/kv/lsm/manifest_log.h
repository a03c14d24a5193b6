#pragma once

/// Keeps a partition's manifest in segments of its blob store. Format and crash points:
/// docs/formats/manifest.md.

#include <memory>
#include <optional>
#include <vector>

#include "ashlar/blob/store.h"
#include "ashlar/kv/lsm/manifest.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::lsm {

/// Number of the segments' log in the blob store.
constexpr std::uint32_t manifest_log_number = 1;

/// Purpose: the durable state of one partition. Owner shard only; one append at a time. Lifecycle: create()
/// once in a partition's life, or open(); ends before the blob store is closed. Invariant: state() is what is
/// durable, unless an append failed; then whether its edit is durable is unknown, and every later append
/// fails with `stopped`.
class ManifestLog {
 public:
  static constexpr std::uint64_t segment_bytes = 1u << 20;

  /// A new partition. May be repeated where an earlier creation was interrupted: it begins anew.
  static Task<Result<std::unique_ptr<ManifestLog>>> create(blob::Store& blobs, std::uint64_t partition);
  static Task<Result<std::unique_ptr<ManifestLog>>> open(blob::Store& blobs);
  /// What open() would find; changes nothing.
  static Task<Result<ManifestState>> read(blob::Store& blobs);
  /// Begins anew with this state, over whatever manifest there is, readable or not; it is current once this
  /// is ok, and until then what was there stays as it was.
  static Task<Result<>> replace(blob::Store& blobs, ManifestState state);

  const ManifestState& state() const noexcept { return state_; }
  /// Applies the edit and makes it durable: the commit point of flush and compaction.
  Task<Result<>> append(Edit edit);

 private:
  explicit ManifestLog(blob::Store& blobs) noexcept : blobs_(blobs) {}

  Task<Result<>> open_segments();
  Task<Result<std::optional<std::size_t>>> find_newest();
  Task<Result<IoBuffer>> read_current();
  Task<Result<>> write_record(blob::Segment& segment, std::uint64_t offset, std::uint64_t index, Bytes edit);
  Task<Result<>> begin_generation();
  Task<Result<std::size_t>> choose_segment(std::uint64_t snapshot_bytes);
  std::optional<std::size_t> spare(std::uint64_t bytes) const noexcept;
  Task<Result<>> add_segment(std::uint64_t snapshot_bytes);
  Task<> keep_spare();

  blob::Store& blobs_;
  ManifestState state_;
  std::vector<std::unique_ptr<blob::Segment>> segments_;
  std::size_t current_ = 0;  // index of the segment in use
  bool started_ = false;     // segments_[current_] holds the current generation
  std::uint64_t generation_ = 0;
  std::uint64_t next_index_ = 0;
  std::uint64_t end_ = 0;             // offset of the next record
  std::uint64_t snapshot_bytes_ = 0;  // of the state now, at most; its header included
  bool failed_ = false;
};

}  // namespace ashlar::lsm

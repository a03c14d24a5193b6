#pragma once

/// Where a volume's edits are kept: two areas at the beginning of its head chunk, used in turn.
/// Format and crash points: docs/formats/blob-device.md, "Volume".

#include <cstdint>
#include <vector>

#include "ashlar/blob/device/layout.h"
#include "ashlar/blob/device/lease_table.h"
#include "ashlar/blob/device/volume_record.h"
#include "ashlar/blob/device/volume_state.h"
#include "ashlar/block/channel.h"
#include "ashlar/runtime/sync/mutex.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::blob {

/// Owner: the volume's shard. Lifecycle: create() for a new volume, or open(); then commit() any number of
/// times. Invariant: state() is what the durable edits add up to.
class VolumeLog {
 public:
  VolumeLog(Channel& channel, const Superblock& layout, VolumeNumber volume, std::uint64_t head) noexcept
      : channel_(channel), layout_(layout), volume_(volume), head_(head) {}

  /// An empty volume in a chunk that is not lent yet.
  Task<Result<>> create();
  /// Reads the state, and begins a new generation with it.
  Task<Result<>> open();
  /// Reads the state and writes nothing: for `check` and `inspect`.
  Task<Result<>> read();

  /// What an edit adds says how full the areas may become with it: what helps to remove goes on for longer.
  enum class Growth : std::uint8_t { nothing, segment, table, root };

  /// The edit is durable, and part of the state; it must apply. `no_space` where it adds what would not fit
  /// any more, `no_memory` before anything is written; a failed write stops the volume, because what is on
  /// the device is then not known: `stopped` from then on.
  Task<Result<>> commit(std::vector<std::byte> edit, Growth growth);

  const VolumeState& state() const noexcept { return state_; }
  std::uint64_t generation() const noexcept { return generation_; }
  bool stopped() const noexcept { return stopped_; }

 private:
  std::uint64_t area_at(unsigned area) const noexcept {
    return layout_.chunk_at(head_) + area * layout_.area_bytes();
  }
  Lba lba(std::uint64_t byte) const noexcept { return Lba(byte / channel_.geometry().block_bytes); }
  std::optional<VolumeRecord> record_at(Bytes from) const noexcept;
  Task<Result<>> write_record(std::uint64_t at, std::uint64_t generation, std::uint64_t index, Bytes edit);
  Task<Result<>> write_snapshot(unsigned area, std::uint64_t generation);
  Task<Result<>> retire(unsigned area, std::uint64_t superseded_by);
  Task<Result<>> switch_areas();
  /// The area in use, of which at_ bytes are its records.
  Task<Result<IoBuffer>> read_area();
  bool fits(std::uint64_t bytes, Growth growth);
  Result<> replay(Bytes area, unsigned number);

  Channel& channel_;
  const Superblock& layout_;
  const VolumeNumber volume_;
  const std::uint64_t head_;
  VolumeState state_;
  unsigned area_ = 0;  // the one in use
  std::uint64_t generation_ = 0;
  std::uint64_t index_ = 0;        // of the next record
  std::uint64_t at_ = 0;           // where it goes, in the area
  std::uint64_t state_bytes_ = 0;  // an upper bound of a snapshot's size
  bool stopped_ = false;
  Mutex committing_;
};

}  // namespace ashlar::blob

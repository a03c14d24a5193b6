#pragma once

/// Which volume has which chunk. Format: docs/formats/blob-device.md, "Lease table".

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "ashlar/blob/device/layout.h"
#include "ashlar/blob/device/lease_block.h"
#include "ashlar/block/channel.h"
#include "ashlar/runtime/sync/mutex.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::blob {

/// Owner: the device's home shard; free_chunks() and chunks() on any. One change at a time reaches the
/// device: they queue here.
class LeaseTable {
 public:
  LeaseTable(Channel& channel, const Superblock& layout) noexcept : channel_(channel), layout_(layout) {}

  /// Both tables with every chunk free. Not durable until a flush.
  Task<Result<>> create();
  /// Of the chunks that there are.
  Task<Result<>> load();
  /// What was loaded is durable, whichever write or flush had failed before.
  Task<Result<>> write_again();
  /// The layout has more chunks than before: they are free.
  Task<Result<>> grow();

  /// A free chunk is the volume's from here on, durably; nothing where none is free.
  Task<Result<std::optional<std::uint64_t>>> lend(VolumeNumber volume, bool head);
  /// A chunk that a volume has prepared as its head.
  Task<Result<>> lend_chosen(std::uint64_t chunk, VolumeNumber volume);
  Task<Result<>> give_back(std::uint64_t chunk);

  /// A free chunk that nobody else gets until it is lent or let go.
  std::optional<std::uint64_t> choose();
  void let_go(std::uint64_t chunk) noexcept;

  std::optional<std::uint64_t> head_of(VolumeNumber volume) const noexcept;
  std::vector<std::uint64_t> chunks_of(VolumeNumber volume) const;
  std::vector<VolumeNumber> volumes() const;  ///< ascending
  std::uint64_t free_chunks() const noexcept { return free_chunks_.load(std::memory_order_relaxed); }
  std::uint64_t chunks() const noexcept { return chunks_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t head_bit = LeaseBlock::head_bit;
  static constexpr std::uint32_t chosen = volume_max + 1;  // in memory only

  std::uint64_t table_at(unsigned copy, std::uint64_t block) const noexcept {
    return layout_.lease_at + (copy * layout_.lease_blocks + block) * block_bytes;
  }
  void encode(std::uint64_t block, std::uint64_t generation, MutableBytes into) const noexcept;
  Task<Result<std::uint64_t>> read(std::uint64_t block, MutableBytes memory, std::uint32_t* owners);
  Task<Result<>> set(std::uint64_t chunk, std::uint32_t owner);
  Task<Result<>> write(std::uint64_t block, std::uint64_t generation);

  Channel& channel_;
  const Superblock& layout_;
  std::vector<std::uint32_t> owners_;       // by chunk
  std::vector<std::uint64_t> generations_;  // by block of the table; the newer copy is that of its parity
  std::atomic<std::uint64_t> free_chunks_{0}, chunks_{0};
  std::uint64_t next_ = 0;  // where to look for a free chunk
  bool stopped_ = false;
  Mutex changing_;
};

}  // namespace ashlar::blob

#pragma once

/// A device that holds blob stores, one for each volume. Format: docs/formats/blob-device.md.
///
///   CO_TRY(co_await format_device(*device));
///   auto blobs = CO_TRY(co_await BlobDevice::open(*device));
///   auto store = CO_TRY(co_await blobs->open_volume(1, {.create = true}));  // on any shard
///   …
///   CO_TRY(co_await store->close());  // every store, then the device

#include <memory>

#include "ashlar/blob/device/layout.h"
#include "ashlar/blob/device/lease_table.h"
#include "ashlar/blob/store.h"
#include "ashlar/block/device.h"
#include "ashlar/runtime/shard/shard_id.h"
#include "ashlar/runtime/sync/mutex.h"

namespace ashlar::blob {

struct FormatOptions {
  std::uint64_t chunk_bytes = 0;  ///< a power of two; 0: 64 MiB, less where the device is small
  std::uint64_t growth = 16;      ///< how many times its size the device may grow to
  bool overwrite = false;         ///< also where there is something already: it is lost
};
/// Makes an empty device. `exists` where it holds blobs, or begins with what may be a file system or a table
/// of partitions, and overwrite is not set; `invalid` where it is too small or its blocks do not fit.
Task<Result<>> format_device(Device& device, FormatOptions options = {});

struct VolumeOptions {
  /// Space that only tables and roots may take when all else is full.
  std::uint64_t reserve_bytes = std::uint64_t{64} << 20;
  bool create = false;  ///< where there is none
};

/// Owner: the shard that opens it, its home, which is the device's too. open_volume() and the volumes' own
/// calls come from any shard. Lifecycle: all stores are closed before it goes, and it before the device.
class BlobDevice {
 public:
  /// Where the device has grown, there are more chunks, also while it is open, once the old ones are lent;
  /// one that is smaller than it was is `corrupt`. `not_found` where it is not formatted. Nobody else may use
  /// it meanwhile: Device::claim().
  static Task<Result<std::unique_ptr<BlobDevice>>> open(Device& device);
  ~BlobDevice();

  /// The store of a volume, on the current shard; one at a time for each volume, else `busy`.
  Task<Result<std::unique_ptr<Store>>> open_volume(VolumeNumber number, VolumeOptions options = {});
  const Superblock& layout() const noexcept { return layout_; }
  /// At home.
  std::vector<VolumeNumber> volumes() const { return leases_->volumes(); }
  /// Chunks that no volume has. Any shard.
  std::uint64_t free_chunks() const noexcept { return leases_->free_chunks(); }
  /// All there are. Any shard.
  std::uint64_t chunks() const noexcept { return leases_->chunks(); }

  // For volumes, on any shard: carried out at home.
  Task<Result<std::optional<std::uint64_t>>> lend(VolumeNumber volume);
  Task<Result<>> give_back(std::uint64_t chunk);
  Task<> release(VolumeNumber volume);

 private:
  explicit BlobDevice(Device& device) noexcept;
  Task<Result<>> start();
  Task<Result<>> read_superblock(Channel& channel);
  Task<Result<>> follow_size(Channel& channel);
  Task<Result<std::optional<std::uint64_t>>> lend_at_home(VolumeNumber volume);
  Task<Result<>> grow();
  struct Admission {
    std::uint64_t head = 0;
    std::vector<std::uint64_t> chunks;
  };
  Task<Result<Admission>> admit(VolumeNumber number, bool create);
  Task<Result<>> create_volume(VolumeNumber number);

  Device& device_;
  const ShardId home_;
  Superblock layout_;
  std::unique_ptr<LeaseTable> leases_;
  std::vector<VolumeNumber> open_;  // volumes that are open
  Mutex growing_;
};

/// What the superblock's two places hold. Shared with `ashlar check`.
struct SuperblockCopies {
  Superblock::Found found[2] = {Superblock::Found::zeroes, Superblock::Found::zeroes};
  Superblock copy[2];
  /// The valid one with the higher generation; -1 where there is none.
  int best() const noexcept;
};
Task<Result<SuperblockCopies>> read_superblocks(Channel& channel);
/// Durably, into one place, or into both, one after the other.
Task<Result<>> write_superblock(Channel& channel, const Superblock& superblock, std::size_t copy);
Task<Result<>> write_superblocks(Channel& channel, const Superblock& superblock);

}  // namespace ashlar::blob

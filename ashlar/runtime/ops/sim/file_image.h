#pragma once

/// The bytes of one simulated file: as the kernel shows them now, and every state in which a power cut may
/// leave them.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "ashlar/base/bytes.h"
#include "ashlar/base/random.h"

namespace ashlar::sim {

constexpr std::uint64_t sector_bytes = 512;  ///< what a device writes whole or not at all
constexpr std::uint64_t block_bytes = 4096;  ///< what a file system allocates

/// The crash model, per file. Each change has a number. A sector keeps the versions it had since it was last
/// known to be on the medium; a power cut leaves any one of them, independently of every other sector and of
/// the size. A sync up to change n removes the versions that change n and those before it replaced. A
/// truncation is atomic: either it and what it cut off survive together, or neither it nor what was written
/// there afterwards.
///
/// Not thread-safe: a simulated world is one thread.
class FileImage {
 public:
  std::uint64_t size() const noexcept { return size_.value; }
  /// Number of the latest change: what a sync that starts now covers.
  std::uint64_t changes() const noexcept { return changes_; }
  /// Blocks that the file occupies, reserved ones included.
  std::uint64_t blocks() const noexcept { return block_count_; }
  /// Blocks that a write or an allocation of this range would add.
  std::uint64_t blocks_missing(std::uint64_t offset, std::uint64_t length) const noexcept;

  /// Copies what the kernel shows; holes and what lies behind the end are zeros.
  void read(std::uint64_t offset, MutableBytes into) const;
  /// A durable write is on the medium when this returns, with the size needed to read it. Of an atomic one,
  /// of whole sectors, a power cut leaves all or nothing.
  void write(std::uint64_t offset, Bytes from, bool durable, bool atomic = false);
  /// Reserves blocks, which read as zeros, and extends the size.
  void allocate(std::uint64_t offset, std::uint64_t length);
  void resize(std::uint64_t size);
  /// The range reads as zeros, the size stays. Its whole blocks are given up, or else reserved.
  void zero(std::uint64_t offset, std::uint64_t length, bool release);

  /// Data and size of every change up to this number are on the medium.
  void sync(std::uint64_t up_to);
  /// A sync that failed: the kernel drops what it could not write and calls it clean (fsyncgate). The kernel
  /// still shows the dropped sectors; no later sync writes them.
  void drop_unsynced(Random& random);

  /// Power is cut: what is left on the medium is now what the kernel shows.
  void crash(Random& random);

  /// Changes stored bits, in every version.
  void flip(std::uint64_t offset, std::uint8_t mask);

 private:
  static constexpr unsigned sectors_per_block = block_bytes / sector_bytes;
  static constexpr std::uint64_t no_change = ~std::uint64_t{0};
  using Sector = std::array<std::byte, sector_bytes>;

  /// What a sector held before a later change; null for zeros.
  struct Version {
    unsigned sector;
    std::uint64_t change;
    std::unique_ptr<Sector> bytes;
  };
  struct Block {
    std::array<std::byte, block_bytes> data{};
    std::array<std::uint64_t, sectors_per_block> changed{};  // which change wrote it
    std::vector<Version> older;                              // oldest first
    std::uint8_t dropped = 0;                                // sectors that no sync writes any more
  };
  struct Size {
    std::uint64_t change = 0;
    std::uint64_t value = 0;
  };
  /// An atomic write whose sectors have older versions.
  struct AtomicWrite {
    std::uint64_t change;
    std::uint64_t first, end;  // sectors of the file
  };
  /// The versions of a sector that a crash may leave, oldest first; those before the last are in `older`.
  struct Choice {
    std::vector<Version*> older;
    std::size_t first = 0, last = 0;
  };
  struct Bounds {  // changes
    std::uint64_t low, high;
  };
  /// What a crash has decided, for each sector of an atomic write.
  using AtomicBounds = std::map<std::uint64_t, Bounds>;

  struct Reservation {
    std::uint64_t change;
    std::uint64_t first;
    std::uint64_t last;
  };

  Block& block_for_write(std::uint64_t index, bool& fresh);
  void change_sector(Block& block, unsigned sector, bool fresh, bool durable);
  void reserve(std::uint64_t first, std::uint64_t last);
  void give_up(std::uint64_t first, std::uint64_t end);
  void set_size(std::uint64_t size, bool durable);
  void settle_truncations(std::uint64_t up_to);
  static std::uint64_t change_of(const Block& block, unsigned sector, const Choice& choice, std::size_t i);
  static Choice choices(Block& block, unsigned sector, std::uint64_t survived, std::uint64_t lost);
  AtomicBounds settle_atomic_writes(std::uint64_t survived, std::uint64_t lost, unsigned mode,
                                    Random& random);
  static void narrow(const Block& block, unsigned sector, const Bounds& bounds, Choice& choice);
  bool any_dropped(const AtomicWrite& write) const;
  void keep_atomic_writes_whole(std::set<std::uint64_t>& dropped) const;
  static void crash_sector(Block& block, unsigned sector, const Choice& choice, unsigned mode,
                           Random& random);
  void crash_reservations(Random& random);
  void cut_off(std::uint64_t size);

  std::map<std::uint64_t, std::unique_ptr<Block>> blocks_;
  std::set<std::uint64_t> dirty_;  // blocks with older versions
  std::vector<bool> reserved_;     // by block: occupies space
  std::uint64_t block_count_ = 0;
  std::uint64_t changes_ = 0;
  Size size_;
  std::vector<Size> older_sizes_;
  std::vector<std::uint64_t> truncations_;  // changes, not yet synced
  std::vector<Reservation> reservations_;   // not yet synced
  std::vector<AtomicWrite> atomic_writes_;  // not yet synced, in order
};

}  // namespace ashlar::sim

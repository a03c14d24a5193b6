#pragma once

/// Which units of a volume's chunks are free. Kept in memory only: at open it follows from the volume's
/// blobs.

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "ashlar/blob/device/extents.h"

namespace ashlar::blob {

/// Owner: one volume. Lifecycle: outlives the bodies that it hands out.
class Space {
 public:
  explicit Space(const Superblock& layout) noexcept : layout_(layout) {}

  /// A chunk that the volume has; `reserved_units` at its beginning are never allocated.
  void add_chunk(std::uint64_t chunk, std::uint64_t reserved_units = 0);
  bool has_chunk(std::uint64_t chunk) const noexcept { return chunks_.contains(chunk); }
  /// A chunk without a used unit, but not the head; it is no longer the volume's. Nothing where there is
  /// none.
  std::optional<std::uint64_t> take_out_empty_chunk();

  /// `units` in as few extents as a first fit finds; empty where there are not as many.
  Extents allocate(std::uint64_t units);
  /// At open: these units are in use. False where one is not the volume's, or is in use already.
  bool occupy(const Extents& extents);
  void free(const Extents& extents) noexcept;

  std::uint64_t free_units() const noexcept { return free_units_; }

 private:
  struct Chunk {
    std::vector<bool> used;
    std::uint64_t free_units = 0;
    std::uint64_t reserved_units = 0;
  };
  void set(const Extent& extent, bool used) noexcept;

  const Superblock& layout_;
  std::map<std::uint64_t, Chunk> chunks_;
  std::uint64_t free_units_ = 0;
};

/// A blob's units, shared by the volume's record of it and whoever has it open; freed with the last.
class Body {
 public:
  Body(Space& space, Extents where) noexcept : space_(space), extents(std::move(where)) {}
  ~Body() { space_.free(extents); }
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

 private:
  Space& space_;

 public:
  Extents extents;
};
using BodyPointer = std::shared_ptr<Body>;

}  // namespace ashlar::blob

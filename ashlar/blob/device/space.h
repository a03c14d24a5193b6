#pragma once

/// Which units of a volume's chunks are free. Kept in memory only: at open it follows from the volume's
/// blobs.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "ashlar/blob/device/extents.h"

namespace ashlar::blob {

/// Owner: one volume. Lifecycle: outlives the bodies that it hands out. Invariant: a free run lies in one
/// chunk and touches no other of that chunk.
class Space {
 public:
  explicit Space(const Superblock& layout) noexcept : layout_(layout) {}

  /// A chunk that the volume has; `reserved_units` at its beginning are never allocated.
  void add_chunk(std::uint64_t chunk, std::uint64_t reserved_units = 0);
  bool has_chunk(std::uint64_t chunk) const noexcept { return chunks_.contains(chunk); }
  /// A chunk without a used unit, but not the head; it is no longer the volume's. Nothing where there is
  /// none.
  std::optional<std::uint64_t> take_out_empty_chunk();

  /// `units`, from unit `behind` on as far as it is free, so that a blob that grows stays in one piece; then
  /// from the smallest run that holds the rest, or else from the largest ones. Empty where there are not as
  /// many.
  Extents allocate(std::uint64_t units, std::optional<std::uint64_t> behind = {});
  /// At open: these units are in use. False where one is not the volume's, or is in use already.
  bool occupy(const Extents& extents);
  void free(const Extents& extents) noexcept;

  std::uint64_t free_units() const noexcept { return free_units_; }
  /// How many pieces the free units are in.
  std::size_t free_runs() const noexcept { return runs_.size(); }

 private:
  using Runs = std::map<std::uint64_t, std::uint64_t>;  // units by first unit

  void add_run(std::uint64_t first, std::uint64_t units);
  void remove_run(Runs::iterator run);
  void take(Runs::iterator run, std::uint64_t first, std::uint64_t units, Extents& to);
  bool occupy(const Extent& extent);
  void free(const Extent& extent) noexcept;
  std::uint64_t chunk_of(std::uint64_t unit) const noexcept { return unit / layout_.units_per_chunk(); }

  const Superblock& layout_;
  std::map<std::uint64_t, std::uint64_t> chunks_;              // reserved units by chunk
  Runs runs_;                                                  // free ones
  std::set<std::pair<std::uint64_t, std::uint64_t>> by_size_;  // (units, first unit) of each
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

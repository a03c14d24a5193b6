#pragma once

/// Slices of a partition: ranges of its keys that go to the bottom on their own, so that what is rewritten at
/// once, and stands twice meanwhile, is a share of it. What merges write is cut where slices meet, and what
/// is flushed as long as level 0 goes straight to the bottom. Tables that are not cut make a job wider, up to
/// all there is.

#include <optional>
#include <span>
#include <vector>

#include "ashlar/kv/lsm/shape.h"
#include "ashlar/kv/lsm/version.h"

namespace ashlar::lsm {

/// Where slices meet: each begins the next one. Ascending.
using SliceKeys = std::vector<std::vector<std::byte>>;

/// A range of keys. A view.
struct Slice {
  Bytes first;               ///< none below
  std::optional<Bytes> end;  ///< behind it; nothing: all that follow
  bool with_end = false;     ///< the end itself belongs to it

  /// Tables of a run that share keys with it.
  std::span<TableFile* const> of(const Run& run) const noexcept;
  /// Widens it to all keys between the first and the last of the tables, which are in order.
  void cover(std::span<TableFile* const> tables) noexcept;
};

/// Everything, divided. Views of the keys.
std::vector<Slice> slices_between(const SliceKeys& keys);

/// What level 0 has in a slice. A table in two slices counts in both.
struct SliceLevel0 {
  std::uint64_t bytes = 0;     ///< with the values that tables refer to
  std::size_t depth = 0;       ///< runs
  std::size_t idle_depth = 0;  ///< those of them that are newer than what a job has
};
SliceLevel0 level0_of(const Slice& slice, const Version& version) noexcept;

/// Of the files.
std::uint64_t bytes_of(std::span<TableFile* const> tables) noexcept;

/// Keys for what the bottom is now: slices of about an eighth of it, and of a table at least. Those in
/// `before` stay where they are while their slices are neither much smaller nor much larger, since tables are
/// cut at them.
SliceKeys slice_keys(const Version& version, const Shape& shape, const SliceKeys& before);

/// Whether level 0 goes straight to the bottom, slice by slice: then tables of level 0 are cut, too. Else all
/// of it becomes a run of the next level.
bool level0_is_sliced(const Version& version, const Shape& shape, std::uint64_t memtable_bytes) noexcept;

/// How deep level 0 is, by the runs that its slices have: as many as there are on average, or half of the
/// most, if that is more. Where slices go down in turn, the one whose turn it is has twice as many as there
/// are on average.
double depth_of(std::span<const std::size_t> depths) noexcept;
double level0_depth(const Version& version, const SliceKeys& keys);

}  // namespace ashlar::lsm

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "ashlar/runtime/ops/mapping.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar {

/// The mappings that together cover a file from its start: one at first; another for each time that it grew;
/// and a fresh one in place of each that lost a page. Mappings that are out of use stay until the end, since
/// any shard may be in them: they cost addresses only.
///
/// Owner: the home shard, which alone grows and closes it; at() and the memory are for all shards.
class MappedFile {
 public:
  struct Extent {
    std::uint64_t begin = 0, end = 0;  ///< the bytes of the file that it has
    std::uint64_t mapped_from = 0;     ///< `begin`, rounded down to a page
    Mapping mapping;
    const Extent* older = nullptr;

    bool covers(std::uint64_t offset) const noexcept { return begin <= offset && offset < end; }
    std::byte* address(std::uint64_t offset) const noexcept {
      return mapping.bytes().data() + (offset - mapped_from);
    }
  };

  explicit MappedFile(const MapOptions& options) noexcept : options_(options) {}
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// Covers the file up to `bytes`, and replaces what has lost a page. On an error it stays as it was.
  Result<> cover(const File& file, std::uint64_t bytes);
  std::uint64_t covered_bytes() const noexcept { return covered_bytes_; }

  /// The extent that has this byte, which is below covered_bytes().
  const Extent& at(std::uint64_t offset) const noexcept {
    const Extent* extent = newest_.load(std::memory_order_acquire);
    while (!extent->covers(offset)) extent = extent->older;
    return *extent;
  }
  /// Nobody is in the memory any more.
  Task<> close();

 private:
  static constexpr std::size_t extents_max = 1024;
  Result<> add(const File& file, std::uint64_t begin, std::uint64_t end);

  const MapOptions options_;
  std::uint64_t covered_bytes_ = 0;
  std::vector<std::unique_ptr<Extent>> extents_;
  std::atomic<const Extent*> newest_{nullptr};
};

}  // namespace ashlar

#pragma once

/// Which data block a key is in: separators, searched as integers first.

#include <vector>

#include "ashlar/base/endian.h"
#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/format.h"

namespace ashlar::lsm {

/// A short key S with last ≤ S < next, for last < next. Appended to `to`.
void append_separator(Bytes last, Bytes next, std::vector<std::byte>& to);

/// Collects one separator per data block. Holds all of them until it is written.
class IndexBuilder {
 public:
  /// The next block ends with `last`, and the one after it begins with `next`, which may be the same key.
  /// `offset`: of the block in the file, whole pages.
  void add(Bytes last, Bytes next, std::uint64_t offset);
  /// The last block of the table ends with `last`.
  void add_last(Bytes last, std::uint64_t offset);
  /// What stands at `offset` has this separator.
  void add_separator(Bytes separator, std::uint64_t offset);
  /// Where the `i`-th stands after all.
  void place(std::size_t i, std::uint64_t offset) noexcept {
    pages_[i] = static_cast<std::uint32_t>(offset / page_bytes);
  }
  std::size_t count() const noexcept { return starts_.size(); }
  Bytes last_separator() const noexcept { return separator(starts_.size() - 1); }
  /// Forgets what it collected.
  void reset() noexcept;

  std::size_t memory_bytes() const noexcept { return heap_.size() + starts_.size() * 8; }
  std::size_t payload_bytes() const noexcept;
  /// `meta`: offset of the end of the last block.
  void finish(std::byte* payload, std::uint64_t meta) const noexcept;

 private:
  std::size_t common() const noexcept;
  Bytes separator(std::size_t block) const noexcept;

  std::vector<std::byte> heap_;
  std::vector<std::uint32_t> starts_;
  std::vector<std::uint32_t> pages_;
};

/// Where the blocks of an index stand in the file, by their first and last byte.
struct FileRange {
  std::uint64_t from = 0, to = 0;
};

class IndexGuide;

/// A view of an index's payload; trivially copyable. Immutable; readable from any thread.
class Index {
 public:
  Index() noexcept = default;
  /// `range`: what the blocks must fill. Checks everything.
  static Result<Index> parse(Bytes payload, FileRange range, ErrorPlace place) noexcept;
  /// Bytes of the index that `payload` begins with, as it says itself; more than there are where it is cut.
  static std::uint64_t payload_bytes(Bytes payload) noexcept;

  std::uint32_t count() const noexcept { return count_; }
  /// Keys up to it are in blocks up to this one, and those above in later ones.
  std::vector<std::byte> whole_separator(std::uint32_t block) const;
  /// The block that holds `key` if any does: the first whose separator is not below it, or count().
  std::uint32_t find(Bytes key) const noexcept { return find(key, nullptr); }
  /// The same in fewer steps.
  std::uint32_t find(Bytes key, const IndexGuide& guide) const noexcept { return find(key, &guide); }
  BlockHandle block(std::uint32_t ordinal) const noexcept {
    const auto from = load_le<std::uint32_t>(pages_ + 4 * std::size_t{ordinal});
    const auto to = load_le<std::uint32_t>(pages_ + 4 * std::size_t{ordinal} + 4);
    return {std::uint64_t{from} * page_bytes, static_cast<std::uint32_t>((to - from) * page_bytes)};
  }

 private:
  friend class IndexGuide;

  std::uint32_t find(Bytes key, const IndexGuide* guide) const noexcept;
  std::uint64_t head(std::uint32_t block) const noexcept {
    return load_le<std::uint64_t>(heads_ + 8 * std::size_t{block});
  }
  Bytes separator(std::uint32_t block) const noexcept;
  std::uint32_t find_among_equal(std::uint32_t from, std::uint64_t head, Bytes rest) const noexcept;
  Result<> validate(FileRange range, ErrorPlace place) const noexcept;

  const std::byte* heads_ = nullptr;
  const std::byte* pages_ = nullptr;
  const std::byte* starts_ = nullptr;
  Bytes common_;
  Bytes heap_;
  std::uint32_t count_ = 0;
  std::uint64_t first_head_ = 0, last_head_ = 0;
};

/// A few bytes per block that shorten a search: for each of some equal parts of the range of heads, where it
/// begins. Where keys spread evenly, as hashed slots do, a search is over after a few comparisons; where they
/// do not, halving does the rest.
class IndexGuide {
 public:
  IndexGuide() noexcept = default;
  explicit IndexGuide(const Index& index);

  std::size_t memory_bytes() const noexcept { return parts_.size() * sizeof(std::uint32_t); }

 private:
  friend class Index;

  /// Which part `head` is in, for a head from the first to the last.
  std::size_t part_of(std::uint64_t head) const noexcept {
    return (head - first_head_) << normalise_ >> part_shift_;
  }

  std::uint64_t first_head_ = 0;
  std::uint32_t normalise_ = 0, part_shift_ = 0;
  std::vector<std::uint32_t> parts_;
};

}  // namespace ashlar::lsm

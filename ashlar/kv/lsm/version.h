#pragma once

/// Versions: what a partition consists of at one moment, published for every thread to read (D2).

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "ashlar/kv/lsm/memtable.h"
#include "ashlar/kv/lsm/range_set.h"
#include "ashlar/kv/lsm/table_file.h"
#include "ashlar/kv/lsm/value_file.h"
#include "ashlar/runtime/memory/epoch.h"
#include "ashlar/runtime/sync/condition.h"

namespace ashlar::lsm {

/// Tables that are disjoint and in order of their keys.
struct Run {
  unsigned level = 0;
  std::uint64_t number = 0;
  std::vector<TableFile*> tables;  ///< never empty

  std::uint64_t bytes() const noexcept {
    std::uint64_t sum = 0;
    for (const TableFile* table : tables) sum += table->meta().file_bytes;
    return sum;
  }
  /// With the values that its tables refer to: what would be rewritten, were they inside.
  std::uint64_t bytes_with_values() const noexcept {
    std::uint64_t sum = 0;
    for (const TableFile* table : tables) sum += table->bytes_with_values();
    return sum;
  }
  /// The one table that may hold `key`, or null.
  TableFile* covering(Bytes key) const noexcept {
    std::size_t low = 0, high = tables.size();
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (compare(tables[middle]->largest_key(), key) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < tables.size() && compare(tables[low]->smallest_key(), key) <= 0 ? tables[low] : nullptr;
  }
};

/// A value table, and how much of it the version's tables refer to.
struct LiveValues {
  ValueFile* file = nullptr;
  std::uint64_t live_bytes = 0;

  std::uint64_t garbage_bytes() const noexcept {
    return file->meta().data_bytes - std::min(live_bytes, file->meta().data_bytes);
  }
};

/// Thread safety: immutable once published, but for its count, which is the owner's; any thread may read it
/// inside an epoch. Lifecycle: built, published as the partition's current one, replaced; retired through the
/// epoch when the last VersionRef has gone. Invariant: everything in `memtables[i]` is newer than in
/// `memtables[i + 1]` and than in any table; of one key, everything in `runs[i]` is newer than in
/// `runs[i + 1]`.
class Version {
 public:
  std::vector<Memtable*> memtables;        ///< the first one is written to
  std::vector<Run> runs;                   ///< newest first: by level, then by falling number
  std::vector<LiveValues> values;          ///< ascending by number
  std::vector<Sequence> clears;            ///< ascending; all that some reader may still tell apart
  std::shared_ptr<const RangeSet> ranges;  ///< every erased range of memtables and tables; null: none

  /// The newest clear that a reader at `at` knows of: entries below it are absent. Zero: none.
  Sequence cleared_at(Sequence at) const noexcept {
    for (std::size_t i = clears.size(); i-- > 0;) {
      if (clears[i] <= at) return clears[i];
    }
    return {};
  }

  /// Entries of `key` below it are absent to a reader at `at`: a clear, or an erased range. Zero: none.
  Sequence erased_below(Bytes key, Sequence at) const noexcept {
    const Sequence cleared = cleared_at(at);
    if (ranges == nullptr) [[likely]]
      return cleared;
    return std::max(cleared, ranges->covering(key, at));
  }
  /// Takes the ranges from memtables and tables, after one of them came or went.
  void gather_ranges();

  /// A copy to be changed before it is published; holds nothing until pin_all().
  Version() = default;
  Version& operator=(const Version&) = delete;
  std::unique_ptr<Version> successor() const { return std::unique_ptr<Version>(new Version(*this)); }

  /// Puts a table into the run that its meta names, and takes it out of there. The value tables that it
  /// refers to are here: `corrupt` where one is not, and then it was not put in.
  Result<> insert(TableFile& table);
  void erase(const TableFile& table);
  /// A value table, to which nothing refers yet.
  void insert(ValueFile& values);
  /// Takes those out to which nothing refers.
  std::vector<ValueFile*> erase_dead_values();
  /// Null: there is none of that number.
  ValueFile* find_values(std::uint64_t number) const noexcept;

  /// Runs of a level, newest first.
  std::span<const Run> level(unsigned level) const noexcept;
  std::uint64_t level_bytes(unsigned level) const noexcept;

  /// Pins what it refers to; from then on the version owns its pins.
  void pin_all() noexcept;

 private:
  friend class VersionRef;
  friend class VersionSet;
  Version(const Version& other)
      : memtables(other.memtables),
        runs(other.runs),
        values(other.values),
        clears(other.clears),
        ranges(other.ranges) {}
  ~Version();
  friend struct std::default_delete<Version>;

  std::uint32_t references_ = 0;
  bool pinned_ = false;
};

class VersionSet;

/// Keeps a version while a task on the owner shard suspends. Move-only; ends before its set.
class VersionRef {
 public:
  VersionRef() = default;
  VersionRef(Version& version, const VersionSet& set) noexcept : version_(&version), set_(&set) {
    ++version.references_;
  }
  VersionRef(VersionRef&& other) noexcept
      : version_(std::exchange(other.version_, nullptr)), set_(other.set_) {}
  VersionRef& operator=(VersionRef&& other) noexcept {
    std::swap(version_, other.version_);
    std::swap(set_, other.set_);
    return *this;
  }
  ~VersionRef();
  VersionRef share() const noexcept { return VersionRef(*version_, *set_); }
  const Version& operator*() const noexcept { return *version_; }
  const Version* operator->() const noexcept { return version_; }

 private:
  Version* version_ = nullptr;
  const VersionSet* set_ = nullptr;
};

/// The current version of one partition. Owner shard, but for load().
class VersionSet {
 public:
  /// `retired` is notified whenever a version was retired: memory and files wait for the grace period to end.
  VersionSet(EpochDomain& epochs, Condition& retired) noexcept : epochs_(epochs), retired_(retired) {}
  VersionSet(const VersionSet&) = delete;
  VersionSet& operator=(const VersionSet&) = delete;

  /// Any thread, inside an epoch; the owner anywhere, up to its next suspension.
  const Version& load() const noexcept { return *current_.load(std::memory_order_acquire); }
  /// As load(), and null once reset() was called.
  const Version* load_if_any() const noexcept { return current_.load(std::memory_order_acquire); }
  VersionRef acquire() const noexcept { return VersionRef(*current_.load(std::memory_order_relaxed), *this); }
  /// What background work reads: the current version without the memtable being written, which holds nothing
  /// back there.
  VersionRef acquire_frozen() const;
  /// Whether nobody holds the current version but the set itself.
  bool unshared() const noexcept { return current_.load(std::memory_order_relaxed)->references_ == 1; }
  /// Replaces the current version.
  void publish(std::unique_ptr<Version> next);
  bool empty() const noexcept { return current_.load(std::memory_order_relaxed) == nullptr; }
  /// Ends: nothing is published any more.
  void reset() noexcept;

 private:
  friend class VersionRef;

  EpochDomain& epochs_;
  Condition& retired_;
  std::atomic<Version*> current_{nullptr};
  VersionRef held_;
};

}  // namespace ashlar::lsm

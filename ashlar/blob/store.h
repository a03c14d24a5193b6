#pragma once

/// Blobs: what engines stand on instead of files (D10). Three kinds:
///
///   table     written once, published, read, cloned by reference, removed
///   segment   allocated and filled with zeroes, then written with durability, read, reused, removed
///   root      a small record that is replaced atomically
///
///   auto writer = CO_TRY(co_await store.create_table(number));
///   CO_TRY(co_await writer->write(0, blocks));           // any number at once
///   CO_TRY(co_await writer->publish(bytes));             // survives power loss from here on
///   auto table = CO_TRY(co_await store.open_table(number));

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ashlar/base/bytes.h"
#include "ashlar/base/result.h"
#include "ashlar/blob/blocks.h"
#include "ashlar/runtime/ops/backend.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::blob {

/// A root's payload at most.
constexpr std::uint64_t root_bytes_max = 16u << 20;

/// Parts of a segment's write, and of a table's read, at most.
constexpr std::size_t segment_parts_max = 16;
constexpr std::size_t table_parts_max = 16;

/// In the number of a table that a repair has set aside: the number it had, or that of a segment, is below.
/// Its content is whatever could not be read, so that nobody opens it but people.
constexpr std::uint64_t quarantine_bit = std::uint64_t{1} << 63;
constexpr bool quarantined(std::uint64_t table) noexcept {
  return (table & quarantine_bit) != 0;
}

/// A segment's name: which log of the store, and which segment of that log.
struct SegmentName {
  std::uint32_t log = 0;
  std::uint64_t number = 0;
  auto operator<=>(const SegmentName&) const = default;
};

struct TableInfo {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
};
struct SegmentInfo {
  SegmentName name;
  std::uint64_t bytes = 0;
};
/// Everything in a store, each list in ascending order. Tables that were never published are among them.
struct Listing {
  std::vector<TableInfo> tables;
  std::vector<SegmentInfo> segments;
  std::vector<std::uint32_t> roots;
};

/// A table being written. Owner shard only. Destroyed without publish(), it leaves a table that nobody
/// references, to be removed.
class TableWriter {
 public:
  TableWriter() = default;
  TableWriter(const TableWriter&) = delete;
  TableWriter& operator=(const TableWriter&) = delete;
  virtual ~TableWriter() = default;

  /// Writes whole blocks at a block's offset. Any number at once, each place once; `from` must live until
  /// completion. no_space where neither the disk nor the reserve has room.
  virtual Task<Result<>> write(std::uint64_t offset, Bytes from) = 0;
  /// After every write completed: cuts the table to `bytes`; once ok, it survives power loss whole. A failure
  /// is final.
  virtual Task<Result<>> publish(std::uint64_t bytes) = 0;
};

/// A published table. Owner shard only; any number of reads at once. Must outlive its reads.
class Table {
 public:
  Table() = default;
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  virtual ~Table() = default;

  /// Fills `into` (whole blocks, at a block's offset). corrupt where the table ends before.
  virtual Task<Result<>> read(std::uint64_t offset, MutableBytes into) = 0;
  /// The same into several places, one after the other: one read of the device. Each is whole blocks; `into`
  /// must live until completion and has at most table_parts_max.
  virtual Task<Result<>> read_parts(std::uint64_t offset, std::span<const MutableBytes> into) = 0;
  virtual std::uint64_t bytes() const noexcept = 0;
};

/// A segment of a log. Owner shard only; any number of reads and writes at once, writes to different places.
/// Must outlive them.
class Segment {
 public:
  Segment() = default;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  virtual ~Segment() = default;

  virtual SegmentName name() const noexcept = 0;
  virtual std::uint64_t bytes() const noexcept = 0;
  /// Writes whole blocks at a block's offset, inside of the segment. Once ok they survive power loss. Each of
  /// `from` is whole blocks, and must live until completion; there are at most segment_parts_max.
  virtual Task<Result<>> write(std::uint64_t offset, std::span<const Bytes> from) = 0;
  /// Fills `into` (whole blocks, at a block's offset, inside of the segment).
  virtual Task<Result<>> read(std::uint64_t offset, MutableBytes into) = 0;
  /// Waits for whatever a process that is gone may still have in flight here, then syncs. What reads show is
  /// durable then, unless a sync failed before, in this process or in another: what must last has to be
  /// written again.
  virtual Task<Result<>> settle() = 0;
};

/// Owner: one shard, on which it is opened, used and closed. Operations on different blobs may overlap, and
/// those on one blob as its class says. Errors name the blob's number as object. Lifecycle: closed when all
/// of its tables and segments are gone and no operation is in flight.
class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  /// A set-up call: blocks shortly. For recovery; blobs that were being created may be missing.
  virtual Result<Listing> list() = 0;

  /// exists, where there is a table of that number.
  virtual Task<Result<std::unique_ptr<TableWriter>>> create_table(std::uint64_t number) = 0;
  virtual Task<Result<std::unique_ptr<Table>>> open_table(std::uint64_t number) = 0;
  /// A second table with the same content, sharing its space. Survives power loss once ok.
  virtual Task<Result<>> clone_table(std::uint64_t from, std::uint64_t to) = 0;
  /// The same in another store of the same shard, under the same number. False, and nothing done, where the
  /// two cannot share space: then it is to be copied.
  virtual Task<Result<bool>> share_table(std::uint64_t number, Store& with);
  /// Its space is free once the last clone and the last open Table are gone. May come back after power loss.
  virtual Task<Result<>> remove_table(std::uint64_t number) = 0;
  /// Removes every table whose number is not in `keep` (ascending), but for those in quarantine: what crashes
  /// left behind.
  Task<Result<>> remove_tables_except(std::vector<std::uint64_t> keep);

  /// `bytes` of zeroes (whole blocks), all of it allocated and written. Survives power loss once ok. Never
  /// takes from the reserve.
  virtual Task<Result<std::unique_ptr<Segment>>> create_segment(SegmentName name, std::uint64_t bytes) = 0;
  virtual Task<Result<std::unique_ptr<Segment>>> open_segment(SegmentName name) = 0;
  /// As remove_table.
  virtual Task<Result<>> remove_segment(SegmentName name) = 0;

  /// Nothing where there is no such root.
  virtual Task<Result<std::optional<std::vector<std::byte>>>> read_root(std::uint32_t number) = 0;
  /// Once ok, the root is `payload` also after power loss. On an error it is the old one or the new one; if
  /// that cannot be known, `stopped` from then on. One replacement of a root at a time.
  virtual Task<Result<>> write_root(std::uint32_t number, Bytes payload) = 0;

  virtual Result<FileSystemSpace> space() = 0;
  /// True from the first write that found no space until there is room again, with the reserve restored:
  /// refuse what makes data grow; what frees space goes on, from the reserve.
  virtual bool full() const noexcept = 0;
  /// Whether reads and writes bypass the page cache; if not, why.
  virtual bool direct() const noexcept = 0;

  /// Ends background work and releases the lock. Nothing else may be in flight.
  virtual Task<Result<>> close() = 0;
};

}  // namespace ashlar::blob

#pragma once

/// An open table: what a reader asks before, and instead of, reading data blocks.

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/table/block.h"
#include "ashlar/kv/lsm/table/filter.h"
#include "ashlar/kv/lsm/table/footer.h"
#include "ashlar/kv/lsm/table/index.h"
#include "ashlar/kv/lsm/table/properties.h"

namespace ashlar::lsm {

/// Filter, index and properties of one table, over memory that whoever opened it keeps in place. Does no I/O:
///
///   Footer footer = TRY(Footer::decode(last_page, number, file_bytes));
///   read [footer.meta, footer.offset) into `meta`
///   Table table = TRY(Table::open(footer, meta));
///   if (table.may_contain(hash)) if (auto block = table.find(key); block != table.block_count()) …
///
/// Immutable once open; readable from any thread.
class Table {
 public:
  Table() = default;
  /// `meta`: the file's bytes from footer.meta to footer.offset, aligned to 64 in memory for the filter's
  /// sake.
  static Result<Table> open(const Footer& footer, Bytes meta);

  /// False only where no version of the key is in the table. `hash` is key_hash(key).
  bool may_contain(std::uint64_t hash) const noexcept { return filter_.may_contain(hash); }
  void prefetch(std::uint64_t hash) const noexcept { filter_.prefetch(hash); }

  /// The block that holds the newest version of `key` if any does, or block_count().
  std::uint32_t find(Bytes key) const noexcept { return index_.find(key); }
  std::uint32_t block_count() const noexcept { return index_.count(); }
  BlockHandle block(std::uint32_t ordinal) const noexcept { return index_.block(ordinal); }

  std::uint64_t number() const noexcept { return number_; }
  std::uint32_t block_bytes() const noexcept { return block_bytes_; }
  const Properties& properties() const noexcept { return properties_; }

 private:
  Filter filter_;
  Index index_;
  std::uint64_t number_ = 0;
  std::uint32_t block_bytes_ = 0;
  Properties properties_;
};

}  // namespace ashlar::lsm

#pragma once

/// A scan over all partitions of a store at one snapshot, as a transaction sees it.

#include <memory>
#include <string>
#include <vector>

#include "ashlar/kv/read.h"

namespace ashlar::kv {

class StoreTransaction;

/// A value by itself, which may go to any shard.
struct OwnedValue {
  std::string bytes;
  std::uint64_t expiry_ms = no_expiry;
  Sequence sequence;  ///< sequence_max: the transaction's own, which has none yet
};

struct StoreScanOptions {
  Bytes first = {};  ///< stored form, included; empty: from the beginning
  Bytes last = {};   ///< stored form, excluded; empty: to the end
  Direction direction = Direction::forward;
  std::size_t limit = ~std::size_t{0};  ///< so many keys at most
};

/// Walks keys in order of their stored form, each once. `while (CO_TRY(co_await scan.next()))
/// use(scan.key())`. Fetches some at a time from every partition, all partitions at once. What the
/// transaction writes behind the place where the walk is, it finds. Owner: the task that has the transaction.
class StoreScan {
 public:
  StoreScan(StoreTransaction& transaction, const StoreScanOptions& options);

  /// False at the end. Errors of the partitions' cursors.
  Task<Result<bool>> next();
  /// Of the key that next() moved to. Stored form.
  const std::string& key() const noexcept { return item_.key; }
  const OwnedValue& value() const noexcept { return item_.value; }

 private:
  struct Item {
    std::string key;
    OwnedValue value;
  };
  /// One partition's stretch of the range: what was fetched, and from where to go on.
  struct Run {
    std::vector<Item> items;
    std::size_t at = 0;
    std::string first, last;
    bool ended = false;
  };

  bool before(const std::string& a, const std::string& b) const noexcept {
    return direction_ == Direction::forward ? a < b : b < a;
  }
  Task<Result<>> fetch();
  Task<Result<>> fetch_from(std::size_t partition);
  Task<Result<>> fetch_here(std::size_t partition);
  Run* lowest() noexcept;
  bool take_own(const Run* stored);

  StoreTransaction& transaction_;
  Direction direction_;
  std::size_t limit_;
  std::string first_, last_;  // the rest of the range, for what the transaction wrote
  std::vector<Run> runs_;     // by partition
  Item item_;
};

}  // namespace ashlar::kv

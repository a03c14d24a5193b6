#include "ashlar/kv/store_scan.h"

#include <algorithm>
#include <iterator>

#include "ashlar/kv/store_transaction.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::kv {

namespace {

constexpr std::size_t items_at_once = 64;
constexpr std::size_t bytes_at_once = 256 << 10;

}  // namespace

StoreScan::StoreScan(StoreTransaction& transaction, const StoreScanOptions& options)
    : transaction_(transaction),
      direction_(options.direction),
      limit_(options.limit),
      first_(as_text(options.first)),
      last_(as_text(options.last)),
      runs_(transaction.store_.partitions()) {
  for (Run& run : runs_) {
    run.first = first_;
    run.last = last_;
  }
}

/// On the partition's shard.
Task<Result<>> StoreScan::fetch_here(std::size_t partition) {
  Run& run = runs_[partition];
  run.items.clear();
  run.at = 0;
  std::size_t bytes = 0;
  const auto cursor = transaction_.store_.partition(PartitionId{static_cast<std::uint16_t>(partition)})
                          .scan({.first = as_bytes(run.first),
                                 .last = as_bytes(run.last),
                                 .direction = direction_,
                                 .read = {.snapshot = &*transaction_.snapshot_}});
  while (run.items.size() < items_at_once && bytes < bytes_at_once) {
    if (!CO_TRY(co_await cursor->next())) {
      run.ended = true;
      co_return Result<>{};
    }
    const Cursor::Item& item = cursor->item();
    run.items.push_back(
        {std::string(as_text(item.key)), {std::string(as_text(item.value)), item.expiry_ms, item.sequence}});
    bytes += item.key.size() + item.value.size();
  }
  if (direction_ == Direction::forward) {
    run.first = run.items.back().key + '\0';
  } else {
    run.last = run.items.back().key;
  }
  co_return Result<>{};
}

Task<Result<>> StoreScan::fetch_from(std::size_t partition) {
  const PartitionId id{static_cast<std::uint16_t>(partition)};
  co_return co_await invoke(transaction_.store_.home_of(id),
                            [this, partition] { return fetch_here(partition); });
}

Task<Result<>> StoreScan::fetch() {
  std::vector<Task<Result<>>> fetching;
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    if (!runs_[i].ended && runs_[i].at == runs_[i].items.size()) fetching.push_back(fetch_from(i));
  }
  for (const Result<>& fetched : co_await when_all(std::move(fetching))) CO_TRY(fetched);
  co_return Result<>{};
}

StoreScan::Run* StoreScan::lowest() noexcept {
  Run* lowest = nullptr;
  for (Run& run : runs_) {
    if (run.at == run.items.size()) continue;
    if (lowest == nullptr || before(run.items[run.at].key, lowest->items[lowest->at].key)) lowest = &run;
  }
  return lowest;
}

/// Moves to the transaction's own next write where it comes before what is stored, or in its place.
bool StoreScan::take_own(const Run* stored) {
  const auto& writes = transaction_.writes_;
  auto own = writes.end();
  if (direction_ == Direction::forward) {
    own = writes.lower_bound(first_);
    if (own == writes.end() || (!last_.empty() && own->first >= last_)) return false;
  } else {
    own = last_.empty() ? writes.end() : writes.lower_bound(last_);
    if (own == writes.begin()) return false;
    own = std::prev(own);
    if (own->first < first_) return false;
  }
  if (stored != nullptr && before(stored->items[stored->at].key, own->first)) return false;
  item_ = {own->first, {own->second.value, own->second.expiry_ms, sequence_max}};
  return true;
}

Task<Result<bool>> StoreScan::next() {
  while (limit_ != 0) {
    const auto needs = [](const Run& run) { return !run.ended && run.at == run.items.size(); };
    if (std::ranges::any_of(runs_, needs)) CO_TRY(co_await fetch());
    Run* stored = lowest();
    const bool own = take_own(stored);
    if (!own && stored == nullptr) co_return false;
    std::optional<OwnedValue> beneath;
    if (!own) item_ = std::move(stored->items[stored->at++]);
    if (own && stored != nullptr && stored->items[stored->at].key == item_.key)
      beneath = std::move(stored->items[stored->at++].value);
    (direction_ == Direction::forward ? first_ : last_) =
        direction_ == Direction::forward ? item_.key + '\0' : item_.key;
    if (own) {
      const auto& write = transaction_.writes_.find(item_.key)->second;
      if (!write.operands.empty()) {
        item_.value = CO_TRY(co_await transaction_.merged(write, beneath));
      } else if (is_absent(write.kind, write.expiry_ms, transaction_.now_ms())) {
        continue;
      }
    }
    --limit_;
    co_return true;
  }
  co_return false;
}

}  // namespace ashlar::kv

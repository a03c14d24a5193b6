#include "ashlar/kv/lsm/unfinished_flush.h"

#include <algorithm>
#include <unordered_set>

#include "ashlar/kv/lsm/table_check.h"
#include "ashlar/kv/lsm/transaction_record.h"
#include "ashlar/log/salvage.h"

namespace ashlar::lsm {

namespace {

/// What of the log can be read.
class Coverage final : public wal::RecordVisitor {
 public:
  Result<> on_record(const wal::Record& record) override {
    const Sequence sequence{record.header.sequence};
    if (last_index_ == 0) {
      from_the_start_ = record.index == 1;
      first_ = sequence;
    } else {
      gaps_ |= record.index != last_index_ + 1;
    }
    last_index_ = record.index;
    newest_ = std::max(newest_, sequence);
    sequences_.insert(sequence.value);
    if (record.header.type != wal::RecordType::write) {
      const auto head = decode_transaction_head(record.payload, {});
      if (head) sequences_.insert(head->id.sequence.value);  // its entries have that one
    }
    return {};
  }
  /// Whether every record newer than `before` is there, up to `newest`.
  bool all(Sequence before, Sequence newest) const noexcept {
    return !gaps_ && newest_ >= newest && (from_the_start_ || (first_ != Sequence{} && first_ <= before));
  }
  bool contains(Sequence sequence) const noexcept { return sequences_.contains(sequence.value); }

 private:
  std::uint64_t last_index_ = 0;
  Sequence first_, newest_;
  bool from_the_start_ = false, gaps_ = false;
  std::unordered_set<std::uint64_t> sequences_;
};

class IsFromLog final : public EntryVisitor {
 public:
  explicit IsFromLog(const Coverage& log) noexcept : log_(log) {}
  Result<> on_entry(const Entry& entry, ErrorPlace) override {
    all_ = all_ && log_.contains(entry.sequence);
    return {};
  }
  bool all() const noexcept { return all_; }

 private:
  const Coverage& log_;
  bool all_ = true;
};

}  // namespace

Task<Result<std::vector<std::uint64_t>>> tables_that_the_log_has(blob::Store& blobs, std::uint64_t partition,
                                                                 std::uint32_t log,
                                                                 std::vector<TableMeta> tables) {
  std::vector<std::uint64_t> numbers;
  std::ranges::sort(tables, std::ranges::greater{}, &TableMeta::largest_sequence);
  Sequence oldest = sequence_max, before;
  for (const TableMeta& table : tables) {
    if (!numbers.empty() && table.largest_sequence < oldest) {
      before = table.largest_sequence;
      break;
    }
    oldest = std::min(oldest, table.smallest_sequence);
    numbers.push_back(table.number);
  }
  if (numbers.empty()) co_return numbers;

  Coverage coverage;
  const auto salvage = CO_TRY(co_await wal::Salvage::open(blobs, log));
  while (CO_TRY(co_await salvage->next(coverage))) {
  }
  if (!coverage.all(before, tables.front().largest_sequence)) co_return std::vector<std::uint64_t>{};
  IsFromLog from_log(coverage);
  for (const std::uint64_t number : numbers) {
    CO_TRY(co_await check_table(blobs, partition, number, nullptr, &from_log));
    if (!from_log.all()) co_return std::vector<std::uint64_t>{};
  }
  std::ranges::sort(numbers);
  co_return numbers;
}

}  // namespace ashlar::lsm

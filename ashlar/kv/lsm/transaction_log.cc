#include "ashlar/kv/lsm/transaction_log.h"

#include <algorithm>

namespace ashlar::lsm {

TransactionTrace* TransactionLog::find(const kv::TransactionId& id) noexcept {
  const auto found = traces_.find(key_of(id));
  return found == traces_.end() ? nullptr : &found->second;
}

void TransactionLog::add(TransactionTrace trace) {
  const Key key = key_of(trace.id);
  undecided_.insert(trace.id.sequence);
  traces_.insert_or_assign(key, std::move(trace));
}

void TransactionLog::commit(TransactionTrace& trace, std::uint64_t index, Sequence record) {
  trace.committed = true;
  trace.commit_index = index;
  committing_.emplace_back(record, key_of(trace.id));
}

void TransactionLog::erase(const kv::TransactionId& id) noexcept {
  if (traces_.erase(key_of(id)) == 0) return;
  if (const auto found = undecided_.find(id.sequence); found != undecided_.end()) undecided_.erase(found);
}

void TransactionLog::settle(Sequence durable) noexcept {
  while (!committing_.empty() && committing_.front().first <= durable) {
    undecided_.erase(undecided_.find(committing_.front().second.first));
    committing_.pop_front();
  }
}

void TransactionLog::freeze() noexcept {
  for (auto& [key, trace] : traces_) trace.straddles |= !trace.committed;
}

/// Those that are not durably decided here keep this partition's own floor at or below them.
void TransactionLog::forget(const UndecidedFloors& floors, std::uint64_t in_tables) noexcept {
  while (!traces_.empty()) {
    const TransactionTrace& oldest = traces_.begin()->second;
    if (undecided_floor() <= oldest.id.sequence) return;
    if (oldest.straddles && oldest.applied_index >= in_tables) return;
    const auto decided = [&](kv::PartitionId participant) {
      return floors.get(participant) > oldest.id.sequence;
    };
    if (!std::ranges::all_of(oldest.participants, decided)) return;
    traces_.erase(traces_.begin());
  }
}

std::uint64_t TransactionLog::log_needed(std::uint64_t log_end) const noexcept {
  std::uint64_t needed = log_end;
  for (const auto& [key, trace] : traces_) {
    const bool in_tables = trace.commit_index != 0 && trace.applied_index < log_end;
    needed = std::min(needed, in_tables ? trace.commit_index : trace.prepare_index);
  }
  return needed;
}

std::vector<TransactionTrace*> TransactionLog::left_behind(std::uint64_t index) {
  std::vector<TransactionTrace*> found;
  for (auto& [key, trace] : traces_) {
    if (trace.commit_index != 0 && trace.commit_index < index && trace.applied_index < index)
      found.push_back(&trace);
  }
  return found;
}

std::vector<TransactionTrace*> TransactionLog::all() {
  std::vector<TransactionTrace*> found;
  for (auto& [key, trace] : traces_) found.push_back(&trace);
  return found;
}

}  // namespace ashlar::lsm

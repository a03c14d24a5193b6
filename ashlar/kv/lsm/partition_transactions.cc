/// A partition as a participant of transactions across partitions: prepare, decide, and what recovery finds
/// of them. Steps and crash points: docs/formats/transaction.md.

#include <algorithm>

#include "ashlar/kv/lsm/batch.h"
#include "ashlar/kv/lsm/partition.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

namespace {

/// A range is of keys that nobody has locked.
constexpr bool may_be_in_transaction(Kind kind) noexcept {
  return kind == Kind::put || kind == Kind::erase || kind == Kind::merge;
}

}  // namespace

Sequence LsmPartition::next_sequence() noexcept {
  const Sequence sequence = shard_.state().clock.next(clock_.last());
  clock_.observe(sequence);
  return sequence;
}

Sequence LsmPartition::reserve(Sequence seen) noexcept {
  clock_.observe(seen);
  return next_sequence();
}

Result<kv::Ticket> LsmPartition::prepare(const kv::Prepare& part) {
  const kv::Receipt::Cycles cycles(part.receipt);
  const kv::LockTable::ActAs owner(locks(), part.id.number);
  std::span<const kv::Write> writes = part.writes;
  for (const kv::Write& write : writes) {
    if (!may_be_in_transaction(write.kind))
      return fail(Errc::unsupported, "range of keys in a transaction across partitions");
  }
  const bool prepared = preparer_.needed(writes, rules_);
  if (prepared) writes = TRY(preparer_.prepare(writes, rules_, now_ms()));
  if (const auto admitted = admit(writes); !admitted) {
    if (admitted.error().code == Errc::no_memory) flush_early();
    return std::unexpected(admitted.error());
  }
  clock_.observe(part.id.sequence);
  const Sequence sequence = next_sequence();
  const std::size_t bytes = transaction_head_bytes(part.participants) + batch_bytes(writes);
  const auto ordered = log_->append_in_place(
      {.type = wal::RecordType::prepare, .sequence = sequence.value}, bytes,
      [&](std::byte* to) { encode_batch(writes, encode_transaction_head(part.id, part.participants, to)); });
  if (!ordered) {
    if (ordered.error().code == Errc::no_space) flush_early();
    return std::unexpected(ordered.error());
  }
  appended(sequence, {});
  std::vector<std::byte> batch;
  if (prepared) {  // what decide() is given is not what was logged
    batch.resize(batch_bytes(writes));
    encode_batch(writes, batch.data());
  }
  transactions_.add({.id = part.id,
                     .participants = {part.participants.begin(), part.participants.end()},
                     .prepare_index = ordered->index,
                     .batch = std::move(batch)});
  publish_floor();
  counters_.write_bytes += bytes;
  update_stall();
  if (part.receipt != nullptr) part.receipt->bytes_logged += bytes;
  return kv::Ticket(*this, sequence, kv::Durability::durable, false);
}

Result<LsmPartition::OutcomeRecord> LsmPartition::append_outcome(
    const kv::TransactionId& id, std::span<const kv::PartitionId> participants, kv::Outcome outcome) {
  const Sequence sequence = next_sequence();
  const std::size_t bytes = transaction_head_bytes(participants) + 1;
  const auto ordered = log_->append_in_place({.type = wal::RecordType::outcome, .sequence = sequence.value},
                                             bytes, [&](std::byte* to) {
                                               to = encode_transaction_head(id, participants, to);
                                               *to = static_cast<std::byte>(outcome);
                                             });
  if (!ordered) return std::unexpected(ordered.error());
  appended(sequence, {});
  return OutcomeRecord{ordered->index, sequence, bytes};
}

Result<kv::Ticket> LsmPartition::decide(const kv::Prepare& part, kv::Outcome outcome) {
  const kv::Receipt::Cycles cycles(part.receipt);
  TransactionTrace* trace = transactions_.find(part.id);
  if (trace == nullptr) return kv::Ticket();  // nothing of it was ever in this log
  InDoubtWrites logged;
  if (!trace->batch.empty()) logged = TRY(InDoubtWrites::decode(*trace));
  const std::span<const kv::Write> writes = trace->batch.empty() ? part.writes : logged.writes();
  OutcomeRecord record;
  if (!stop_reason()) {
    const auto appended = append_outcome(part.id, part.participants, outcome);
    if (!appended && appended.error().code != Errc::stopped) {
      flush_early();
      return std::unexpected(appended.error());
    }
    if (appended) record = *appended;
    if (part.receipt != nullptr) part.receipt->bytes_logged += record.bytes;
  }
  if (outcome == kv::Outcome::committed) {
    if (record.index != 0) {
      transactions_.commit(*trace, record.index, record.sequence);
      trace->applied_index = record.index;
    }
    trace->committed = true;
    insert(writes, part.id.sequence);
    revealed(writes, part.id.sequence);
    counters_.writes += writes.size();
    trace->batch = {};
    locks().unlock_all(part.id.number);
  } else {
    transactions_.erase(part.id);
    publish_floor();
  }
  if (record.index == 0) return kv::Ticket();
  if (memtable_->bytes() >= options_.memtable_bytes || log_is_long())
    rotate(log_->next_index(), record.sequence);
  update_stall();
  return kv::Ticket(*this, record.sequence, kv::Durability::durable, false);
}

void LsmPartition::publish_floor() noexcept {
  const auto self = static_cast<std::uint16_t>(manifest_->state().partition);
  shard_.state().undecided.set(kv::PartitionId{self}, transactions_.undecided_floor());
}

/// Commit records that the flush would leave behind, and that another participant may still ask for, are
/// written once more: those from before the last flush, so that it is few.
Task<Result<>> LsmPartition::carry_outcomes() {
  transactions_.forget(shard_.state().undecided, in_tables_);
  Sequence newest{};
  for (TransactionTrace* trace : transactions_.left_behind(in_tables_)) {
    const auto record = append_outcome(trace->id, trace->participants, kv::Outcome::committed);
    if (!record) break;  // the log is kept from the older record on
    trace->commit_index = record->index;
    newest = record->sequence;
  }
  if (newest == Sequence{}) co_return Result<>{};
  co_return co_await kv::Ticket(*this, newest, kv::Durability::durable, false);
}

Result<> LsmPartition::on_prepare(const wal::Record& record) {
  const ErrorPlace place{.object = record.segment, .offset = record.offset};
  auto head = TRY(decode_transaction_head(record.payload, place));
  BatchReader batch(head.rest, head.id.sequence, place);
  while (TRY(batch.next())) {
    if (!may_be_in_transaction(batch.entry().kind))
      return fail(Errc::corrupt, "kind of a write in a transaction", place);
  }
  transactions_.add({.id = head.id,
                     .participants = std::move(head.participants),
                     .prepare_index = record.index,
                     .batch = {head.rest.begin(), head.rest.end()}});
  return {};
}

Result<> LsmPartition::on_outcome(const wal::Record& record) {
  const ErrorPlace place{.object = record.segment, .offset = record.offset};
  auto head = TRY(decode_transaction_head(record.payload, place));
  const kv::Outcome outcome = TRY(decode_outcome(head, place));
  if (outcome == kv::Outcome::aborted) {
    transactions_.erase(head.id);
    return {};
  }
  const Sequence sequence{record.header.sequence};
  TransactionTrace* trace = transactions_.find(head.id);
  if (trace == nullptr) {
    transactions_.add({.id = head.id, .participants = std::move(head.participants)});
    trace = transactions_.find(head.id);
  }
  if (trace->committed) {
    trace->commit_index = record.index;
    return {};
  }
  transactions_.commit(*trace, record.index, sequence);
  if (trace->prepare_index == 0 || sequence <= manifest_->state().flushed) return {};
  trace->applied_index = record.index;
  BatchReader batch(trace->batch, trace->id.sequence, place);
  while (TRY(batch.next())) insert_recovered(batch.entry());
  trace->batch = {};
  return {};
}

/// Keys of what is in doubt stay locked until join() of the store has decided.
Result<> LsmPartition::lock_in_doubt() {
  for (const TransactionTrace* trace : transactions_.all()) {
    if (trace->committed) continue;
    const auto writes = TRY(InDoubtWrites::decode(*trace));
    for (const kv::Write& write : writes.writes()) {
      if (!locks().try_lock(*write.key, trace->id.number))
        return fail(Errc::corrupt, "two prepared transactions of one key", {.object = trace->id.number});
    }
    locks().commits_at(trace->id.number, writes.writes(), trace->id.sequence);
  }
  return {};
}

std::vector<TransactionVote> LsmPartition::votes() {
  std::vector<TransactionVote> votes;
  for (const TransactionTrace* trace : transactions_.all())
    votes.push_back({trace->id, trace->participants, trace->committed});
  return votes;
}

Result<> LsmPartition::decide_in_doubt(const kv::TransactionId& id, kv::Outcome outcome) {
  const TransactionTrace* trace = transactions_.find(id);
  if (trace == nullptr || trace->committed) return {};
  const std::vector<kv::PartitionId> participants = trace->participants;
  TRY(decide({.id = id, .participants = participants, .writes = {}}, outcome));
  locks().unlock_all(id.number);
  return {};
}

Result<InDoubtWrites> InDoubtWrites::decode(const TransactionTrace& trace) {
  InDoubtWrites decoded;
  BatchReader batch(trace.batch, trace.id.sequence, {.object = trace.id.number});
  while (TRY(batch.next())) {
    const Entry& entry = batch.entry();
    decoded.keys_.push_back(StoredKey::from_stored(entry.key));
    decoded.writes_.push_back({.key = &decoded.keys_.back(),
                               .value = entry.value,
                               .kind = entry.kind,
                               .expiry_ms = entry.expiry_ms});
  }
  return decoded;
}

}  // namespace ashlar::lsm

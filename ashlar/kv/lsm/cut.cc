#include "ashlar/kv/lsm/cut.h"

#include <algorithm>
#include <cassert>

namespace ashlar::lsm {

namespace {

constexpr std::uint64_t bytes_at_once = 1u << 20;

/// Passes on what belongs to the cut, until it is enough for once.
class Piece final : public wal::RecordVisitor {
 public:
  Piece(Sequence at, Sequence flushed, wal::RecordVisitor& to) noexcept
      : at_(at), flushed_(flushed), to_(to) {}
  Result<> on_record(const wal::Record& record) override {
    const Sequence sequence{record.header.sequence};
    const bool in_tables = record.header.type == wal::RecordType::write && sequence <= flushed_;
    if (sequence <= at_ && !in_tables) TRY(to_.on_record(record));
    next_index = record.index + 1;
    bytes_ += record.payload.size();
    enough = bytes_ >= bytes_at_once;
    return enough ? Result<>(fail(Errc::cancelled, "enough")) : Result<>();
  }

  std::uint64_t next_index = 0;
  bool enough = false;

 private:
  Sequence at_, flushed_;
  wal::RecordVisitor& to_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

Task<Result<std::unique_ptr<PartitionCut>>> PartitionCut::take(LsmPartition& partition) {
  // Between a commit and what it publishes, manifest and version disagree.
  const MutexLock lock = co_await partition.commit_mutex_.lock();
  if (partition.stop_reason()) co_return std::unexpected(*partition.stop_reason());
  if (partition.closing_) co_return fail(Errc::closed, "checkpoint");
  std::unique_ptr<PartitionCut> cut(new PartitionCut(partition));
  cut->state_ = partition.manifest_->state();
  cut->version_ = partition.versions_.acquire_frozen();
  cut->next_index_ = std::max<std::uint64_t>(cut->state_.log_index, 1);
  cut->hold_.emplace(*partition.log_, cut->next_index_);
  // Above what any partition has written so far: where this one has forgotten a transaction, what the others
  // have of its outcome belongs to the cut.
  cut->newest_ = partition.next_sequence();
  co_return cut;
}

Task<Result<>> PartitionCut::fix(Sequence at) {
  assert(at >= newest_);
  at_ = at;
  partition_.clock_.observe(at);
  end_index_ = partition_.log_->next_index();
  co_return co_await kv::Ticket(partition_, partition_.last_sequence(), kv::Durability::durable, false);
}

Task<Result<bool>> PartitionCut::read_records(wal::RecordVisitor& visitor) {
  if (next_index_ >= end_index_) {
    hold_.reset();
    co_return false;
  }
  Piece piece(at_, state_.flushed, visitor);
  const Result<> read = co_await partition_.log_->read(next_index_, end_index_ - 1, piece);
  if (!read && !piece.enough) co_return std::unexpected(read.error());
  next_index_ = read ? end_index_ : piece.next_index;
  if (next_index_ == end_index_) hold_.reset();  // the log need not wait for tables to be copied
  co_return next_index_ < end_index_;
}

}  // namespace ashlar::lsm

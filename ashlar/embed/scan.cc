#include "ashlar/embed/scan.h"

#include <algorithm>

#include "ashlar/embed/transaction_state.h"

namespace ashlar {

namespace embed {

namespace {

constexpr std::size_t first_chunk_entries = 16;  // who looks at one key does not pay for hundreds
constexpr std::size_t chunk_entries_max = 4096;
constexpr std::size_t chunk_bytes_max = 256u << 10;

}  // namespace

Scan::Scan(std::shared_ptr<Engine> engine, const IterateOptions& options)
    : Scan(std::move(engine), nullptr, ShardId{}, options) {}

Scan::Scan(std::shared_ptr<Engine> engine, std::shared_ptr<OpenTransaction> transaction, ShardId shard,
           const IterateOptions& options)
    : engine_(std::move(engine)),
      transaction_(std::move(transaction)),
      transaction_shard_(shard),
      read_(options.read),
      range_(StoredRange::of(options.lower, options.upper, options.prefix,
                             Engine::type_of(options.read.family))) {}

Scan::~Scan() {
  dismiss();
}

void Scan::dismiss() noexcept {
  if (walker_ == nullptr) return;
  engine_->leave(shard(), std::move(walker_));
  walker_ = nullptr;
}

Result<> Scan::start() {
  if (range_.bounded && !engine_->ordered())
    return fail(Errc::unsupported, "bounds of a scan: keys are hashed");
  if (read_.snapshot == nullptr && transaction_ == nullptr) {
    own_snapshot_.emplace(TRY(SnapshotState::take(engine_)));
    read_.snapshot = &*own_snapshot_;
  }
  return {};
}

ShardId Scan::shard() const noexcept {
  if (transaction_ != nullptr) return transaction_shard_;
  return engine_->home_of(kv::PartitionId{static_cast<std::uint16_t>(partition_)});
}

bool Scan::fail_with(const Error& error) {
  status_ = std::unexpected(error);
  chunk_.items.clear();
  at_ = 0;
  return false;
}

bool Scan::begin(kv::Direction direction, std::string from) {
  dismiss();
  status_ = {};
  direction_ = direction;
  from_ = std::move(from);
  partition_ = engine_->partition_of(from_).value;
  chunk_entries_ = first_chunk_entries;
  chunk_.last = false;
  return fill();
}

bool Scan::seek(std::string_view key, kv::Direction direction) {
  if (!engine_->ordered()) return fail_with({.code = Errc::unsupported, .where = "seek: keys are hashed"});
  std::string from = StoredRange::bound(key, Engine::type_of(read_.family));
  if (direction == kv::Direction::backward) from.push_back('\0');  // the key itself too
  return begin(direction, std::max(range_.first, std::min(std::move(from), range_.end)));
}

bool Scan::step(kv::Direction direction) {
  if (direction != direction_) {
    std::string from(stored_key());
    if (direction == kv::Direction::forward) from.push_back('\0');
    return begin(direction, std::move(from));
  }
  return ++at_ < chunk_.items.size() || fill();
}

/// The next chunk that holds anything: of this partition or of those behind it. Bounds in the wrong order
/// hold nothing, and the partition that the walk begins in is its last.
bool Scan::fill() {
  for (;;) {
    chunk_.items.clear();
    chunk_.text.clear();
    at_ = 0;
    if (chunk_.last && !advance_partition()) return false;
    if (walker_ == nullptr) walker_ = std::make_shared<Walker>(read_.receipt);
    const Result<> done =
        engine_->run(shard(), [&] { return transaction_ != nullptr ? read_transaction() : read_chunk(); });
    walker_->cost.add_up();
    if (!done) return fail_with(done.error());
    chunk_entries_ = std::min(2 * chunk_entries_, chunk_entries_max);
    if (!chunk_.items.empty()) return true;
  }
}

bool Scan::advance_partition() noexcept {
  const bool forward = direction_ == kv::Direction::forward;
  const std::uint32_t end =
      forward ? engine_->last_partition_below(range_.end).value : engine_->partition_of(range_.first).value;
  if (transaction_ != nullptr || (forward ? partition_ >= end : partition_ <= end)) return false;
  dismiss();
  partition_ += forward ? 1 : 0u - 1;
  chunk_.last = false;
  return true;
}

void Scan::open_cursor() {
  const kv::PartitionId id{static_cast<std::uint16_t>(partition_)};
  const bool forward = direction_ == kv::Direction::forward;
  walker_->cursor =
      engine_->open_store().partition(id).scan({.first = as_bytes(forward ? from_ : range_.first),
                                                .last = as_bytes(forward ? range_.end : from_),
                                                .direction = direction_,
                                                .read = engine_options(read_, walker_->cost)});
  engine_->port(Shard::current().id()).enter(*walker_);
}

bool Scan::full() const noexcept {
  return chunk_.items.size() >= chunk_entries_ || chunk_.text.size() >= chunk_bytes_max;
}

void Scan::add(Bytes key, Bytes value, std::uint64_t expiry_ms) {
  chunk_.items.push_back({chunk_.text.size(), key.size(), value.size(), expiry_ms});
  chunk_.text.append(as_text(key)).append(as_text(value));
}

Task<Result<>> Scan::read_chunk() {
  if (walker_->cursor == nullptr) open_cursor();
  kv::Cursor& cursor = *walker_->cursor;
  while (!full()) {
    if (!CO_TRY(co_await cursor.next())) {
      chunk_.last = true;
      break;
    }
    const kv::Cursor::Item& found = cursor.item();
    add(found.key, found.value, found.expiry_ms);
  }
  co_return Result<>();
}

Task<Result<>> Scan::read_transaction() {
  kv::StoreTransaction* const transaction = CO_TRY(transaction_->live());
  const bool forward = direction_ == kv::Direction::forward;
  if (walker_->of_transaction == nullptr) {
    walker_->of_transaction = CO_TRY(transaction->scan({.first = as_bytes(forward ? from_ : range_.first),
                                                        .last = as_bytes(forward ? range_.end : from_),
                                                        .direction = direction_}));
    engine_->port(transaction_shard_).enter(*walker_);
  }
  kv::StoreScan& scan = *walker_->of_transaction;
  while (!full()) {
    if (!CO_TRY(co_await scan.next())) {
      chunk_.last = true;
      break;
    }
    add(as_bytes(scan.key()), as_bytes(scan.value().bytes), scan.value().expiry_ms);
  }
  co_return Result<>();
}

}  // namespace embed

Iterator::Iterator(std::unique_ptr<embed::Scan> scan) noexcept : scan_(std::move(scan)) {}
Iterator::Iterator(Iterator&&) noexcept = default;
Iterator& Iterator::operator=(Iterator&&) noexcept = default;
Iterator::~Iterator() = default;

bool Iterator::seek_first() {
  return scan_->seek_first();
}
bool Iterator::seek_last() {
  return scan_->seek_last();
}
bool Iterator::seek(std::string_view key) {
  return scan_->seek(key, kv::Direction::forward);
}
bool Iterator::seek_backward(std::string_view key) {
  return scan_->seek(key, kv::Direction::backward);
}
bool Iterator::next() {
  return scan_->step(kv::Direction::forward);
}
bool Iterator::previous() {
  return scan_->step(kv::Direction::backward);
}
bool Iterator::valid() const noexcept {
  return scan_->valid();
}
void Iterator::set_deadline(Deadline deadline) noexcept {
  scan_->set_deadline(deadline);
}
const Result<>& Iterator::status() const noexcept {
  return scan_->status();
}
std::string_view Iterator::key() const noexcept {
  return scan_->stored_key().substr(kv::key_prefix_bytes);
}
std::string_view Iterator::value() const noexcept {
  return scan_->value();
}
std::uint64_t Iterator::expiry_ms() const noexcept {
  return scan_->expiry_ms();
}

}  // namespace ashlar

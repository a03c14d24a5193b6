#include "ashlar/embed/scan.h"

#include <algorithm>

namespace ashlar {

namespace embed {

namespace {

constexpr std::size_t first_chunk_entries = 16;  // who looks at one key does not pay for hundreds
constexpr std::size_t chunk_entries_max = 4096;
constexpr std::size_t chunk_bytes_max = 256u << 10;

constexpr char type_byte = static_cast<char>(kv::KeyType::value);

/// The first key that no longer begins with `prefix`; empty: there is none.
std::string end_of_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

/// Of a database that is partitioned by range: its slots are zero.
std::string stored_form(std::string_view key) {
  std::string stored{type_byte, '\0', '\0'};
  return stored.append(key);
}

}  // namespace

Scan::Scan(std::shared_ptr<Engine> engine, const IterateOptions& options)
    : engine_(std::move(engine)),
      read_(options.read),
      bounded_(!options.lower.empty() || !options.upper.empty() || !options.prefix.empty()) {
  const std::string& lower = options.prefix.empty() ? options.lower : options.prefix;
  const std::string upper = options.prefix.empty() ? options.upper : end_of_prefix(options.prefix);
  lower_ = lower.empty() ? std::string{type_byte} : stored_form(lower);
  upper_ = upper.empty() ? std::string{static_cast<char>(type_byte + 1)} : stored_form(upper);
}

Scan::~Scan() {
  dismiss();
}

void Scan::dismiss() noexcept {
  if (walker_ == nullptr) return;
  engine_->leave(engine_->home_of(kv::PartitionId{static_cast<std::uint16_t>(partition_)}),
                 std::move(walker_));
  walker_ = nullptr;
}

Result<> Scan::start() {
  if (bounded_ && !engine_->ordered()) return fail(Errc::unsupported, "bounds of a scan: keys are hashed");
  if (read_.snapshot == nullptr) {
    own_snapshot_.emplace(TRY(SnapshotState::take(engine_)));
    read_.snapshot = &*own_snapshot_;
  }
  return {};
}

kv::PartitionId Scan::partition_of(const std::string& stored) const noexcept {
  const auto last = static_cast<std::uint16_t>(engine_->partitioner().partitions() - 1);
  if (stored.size() >= kv::key_prefix_bytes) return engine_->partitioner().partition_of(as_bytes(stored));
  return kv::PartitionId{stored[0] == type_byte ? std::uint16_t{0} : last};  // the beginning, or the end
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
  partition_ = partition_of(from_).value;
  chunk_entries_ = first_chunk_entries;
  chunk_.last = false;
  return fill();
}

bool Scan::seek(std::string_view key, kv::Direction direction) {
  if (!engine_->ordered()) return fail_with({.code = Errc::unsupported, .where = "seek: keys are hashed"});
  std::string from = stored_form(key);
  if (direction == kv::Direction::backward) from.push_back('\0');  // the key itself too
  return begin(direction, std::clamp(std::move(from), lower_, upper_));
}

bool Scan::step(kv::Direction direction) {
  if (direction != direction_) {
    std::string from(stored_key());
    if (direction == kv::Direction::forward) from.push_back('\0');
    return begin(direction, std::move(from));
  }
  return ++at_ < chunk_.items.size() || fill();
}

/// The next chunk that holds anything: of this partition or of those behind it.
bool Scan::fill() {
  for (;;) {
    chunk_.items.clear();
    chunk_.text.clear();
    at_ = 0;
    if (chunk_.last && !advance_partition()) return false;
    const kv::PartitionId id{static_cast<std::uint16_t>(partition_)};
    if (walker_ == nullptr) walker_ = std::make_shared<Walker>();
    const Result<> done = engine_->run(engine_->home_of(id), [&] { return read_chunk(); });
    if (!done) return fail_with(done.error());
    chunk_entries_ = std::min(2 * chunk_entries_, chunk_entries_max);
    if (!chunk_.items.empty()) return true;
  }
}

bool Scan::advance_partition() noexcept {
  const bool forward = direction_ == kv::Direction::forward;
  const std::uint32_t end = engine_->ordered() ? partition_of(forward ? upper_ : lower_).value
                            : forward          ? engine_->partitioner().partitions() - 1
                                               : 0;
  if (partition_ == end) return false;
  dismiss();
  partition_ += forward ? 1 : 0u - 1;
  chunk_.last = false;
  return true;
}

void Scan::open_cursor() {
  const kv::PartitionId id{static_cast<std::uint16_t>(partition_)};
  const bool forward = direction_ == kv::Direction::forward;
  walker_->cursor = engine_->open_store().partition(id).scan({.first = as_bytes(forward ? from_ : lower_),
                                                              .last = as_bytes(forward ? upper_ : from_),
                                                              .direction = direction_,
                                                              .read = partition_options(read_, id)});
  engine_->port(Shard::current().id()).enter(*walker_);
}

Task<Result<>> Scan::read_chunk() {
  if (walker_->cursor == nullptr) open_cursor();
  kv::Cursor& cursor = *walker_->cursor;
  while (chunk_.items.size() < chunk_entries_ && chunk_.text.size() < chunk_bytes_max) {
    if (!CO_TRY(co_await cursor.next())) {
      chunk_.last = true;
      break;
    }
    const kv::Cursor::Item& found = cursor.item();
    chunk_.items.push_back({chunk_.text.size(), found.key.size(), found.value.size(), found.expiry_ms});
    chunk_.text.append(as_text(found.key)).append(as_text(found.value));
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

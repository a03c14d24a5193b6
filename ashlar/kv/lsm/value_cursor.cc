#include "ashlar/kv/lsm/value_cursor.h"

#include <algorithm>

#include "ashlar/runtime/sync/condition.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::lsm {

/// An item. Belongs to the cursor, and to its read once the cursor has gone.
struct ValueCursor::Ahead {
  explicit Ahead(const Item& from) : key(from.key.begin(), from.key.end()), item(from) { item.key = key; }

  std::vector<std::byte> key, value;
  Item item;
  std::uint64_t bytes = 0;
  ValueRef ref;  // of no size: the value is here
  bool done = true, abandoned = false;
  Result<LoadedValue> outcome;
  Condition finished;
  kv::Pin file;  // while its value is read
};

ValueCursor::ValueCursor(std::unique_ptr<LsmCursor> cursor, const kv::ScanOptions& options)
    : cursor_(std::move(cursor)),
      deadline_(options.read.deadline),
      receipt_(options.read.receipt),
      left_(options.limit != 0 ? options.limit : ~std::uint64_t{0}) {}

ValueCursor::~ValueCursor() {
  for (Ahead* ahead : ahead_) drop(ahead);
}

void ValueCursor::drop(Ahead* ahead) noexcept {
  if (ahead->done) {
    delete ahead;
  } else {
    ahead->abandoned = true;
  }
}

void ValueCursor::seek(Bytes key) {
  for (Ahead* ahead : ahead_) drop(ahead);
  ahead_.clear();
  ahead_bytes_ = 0;
  window_ = 1;
  shown_ = waits_ = false;
  ended_.reset();
  cursor_->seek(key);
}

Task<> ValueCursor::read(Ahead* ahead, ValueFile* file) {
  if (!ahead->abandoned) ahead->outcome = co_await file->load(ahead->ref, false);
  ahead->file.reset();
  ahead->done = true;
  if (ahead->abandoned) {
    delete ahead;
  } else {
    ahead->finished.notify_all();
  }
}

/// The cursor's item joins the queue.
void ValueCursor::push() {
  Ahead* const ahead = ahead_.emplace_back(new Ahead(cursor_->item()));
  if (!cursor_->separated()) {
    ahead->value.assign(ahead->item.value.begin(), ahead->item.value.end());
    ahead->item.value = ahead->value;
    ahead->bytes = ahead->value.size();
    ahead_bytes_ += ahead->bytes;
    return;
  }
  const ValueRef ref = ahead->ref = ValueRef::trusted(ahead->item.value);
  ValueFile* const file = cursor_->version().find_values(ref.table);
  if (file == nullptr) {
    ahead->outcome = fail(Errc::corrupt, "value table that a table refers to", ref.place());
    return;
  }
  ahead->bytes = ref.size;
  ahead_bytes_ += ahead->bytes;
  if (LoadedValue cached = file->find(ref)) {
    ahead->outcome = std::move(cached);
    if (receipt_ != nullptr) ++receipt_->blocks_cached;
    return;
  }
  ahead->done = false;
  ahead->file = kv::Pin(*file);
  file->reads().spawn(read(ahead, file));
  if (receipt_ == nullptr) return;
  ++receipt_->blocks_read;
  receipt_->bytes_read += ref.read_bytes();
}

void ValueCursor::walk_ahead() {
  const auto has_room = [&] {
    if (ahead_.empty()) return true;
    return ahead_.size() < std::min<std::uint64_t>(window_, left_) && ahead_bytes_ < window_bytes &&
           !Shard::current().memory().cap().tight();
  };
  while (!ended_ && !waits_ && has_room()) {
    Result<bool> more = false;
    if (!cursor_->advance(more)) {
      waits_ = true;
    } else if (more && *more) {
      push();
    } else {
      ended_ = more;
    }
  }
}

/// The item that was shown has been seen.
void ValueCursor::leave() noexcept {
  if (!std::exchange(shown_, false)) return;
  Ahead* const ahead = ahead_.front();
  ahead_.pop_front();
  ahead_bytes_ -= ahead->bytes;
  drop(ahead);
}

/// False where its value is still on its way.
bool ValueCursor::show_front(Result<bool>& result) noexcept {
  Ahead& front = *ahead_.front();
  if (!front.done) return false;
  shown_ = true;
  count();
  if (front.ref.size != 0) {
    if (!front.outcome) {
      result = std::unexpected(front.outcome.error());
      return true;
    }
    front.item.value = front.outcome->bytes;
  }
  item_ = front.item;
  result = true;
  return true;
}

/// The cursor has moved, and nothing waits. True where that is the answer; otherwise its item joins the
/// queue.
bool ValueCursor::take(const Result<bool>& more) {
  if (!more || !*more) {
    ended_ = more;
    return true;
  }
  if (cursor_->separated()) {
    push();
    return false;
  }
  item_ = cursor_->item();
  count();
  return true;
}

bool ValueCursor::advance(Result<bool>& result) noexcept {
  leave();
  if (ahead_.empty()) {
    if (ended_) {
      result = *ended_;
      return true;
    }
    if (waits_ || !cursor_->advance(result)) {
      waits_ = true;
      return false;
    }
    if (take(result)) return true;
  }
  if (ahead_.back()->ref.size != 0) window_ = std::min(2 * window_, window_max);
  walk_ahead();
  return show_front(result);
}

/// advance() stopped where the cursor must wait, or at a value that is on its way.
Task<Result<bool>> ValueCursor::fetch() {
  if (ahead_.empty()) {
    const Result<bool> more = co_await cursor_->fetch();
    waits_ = false;
    if (take(more)) co_return more;
    walk_ahead();
  }
  const kv::Receipt::Time waited(receipt_, &kv::Receipt::device_time);
  Ahead& front = *ahead_.front();
  while (!front.done) {
    if (deadline_ != never && Shard::current().now() >= deadline_) co_return fail(Errc::timed_out, "scan");
    CO_TRY(co_await front.finished.wait());
  }
  Result<bool> result = false;
  (void)show_front(result);
  co_return result;
}

}  // namespace ashlar::lsm

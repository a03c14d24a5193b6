// The path of a record:
//
//   1. append() copies it into the open group and gives it a place
//   2. hurry(), a full buffer or the sync timer closes the group; the writer is made ready, and runs when the
//   tasks that
//      are ready now have appended too
//   3. the writer seals all closed groups that fit behind each other in the segment, and writes them with one
//   durable write
//   4. they are acknowledged: the owner hears of it, then those who wait are made ready, and append again
//   5. only then the writer looks again, so that their records share the next write
//
// One write is in flight at a time. Several would raise the rate of writes, as far as the device takes
// durable ones side by side; but each carries all that has gathered, up to 16 groups, so that a shard does
// not need it, and what a crash may leave behind stays simple: one torn write.

#include "ashlar/log/log.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <utility>

#include "ashlar/log/recovery.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::wal {
namespace {

// Groups in one device write: what came together while the one before was under way.
constexpr std::size_t write_groups_max = 16;
static_assert(write_groups_max <= blob::segment_parts_max);

// Two take turns where writes keep up. Some more are kept for bursts; what is needed beyond goes back.
constexpr unsigned free_buffers_max = 4;

LogOptions fitting(LogOptions options) noexcept {
  options.buffer_bytes = blob::align_down(std::min(options.buffer_bytes, options.segment_bytes / 4));
  return options;
}

}  // namespace

Log::Log(blob::Store& store, std::uint32_t id, const LogOptions& options, LogOwner& owner)
    : id_(id), options_(fitting(options)), owner_(owner), segments_(store, id, options), scope_(nullptr) {
  sync_timer_.log = this;
  sync_timer_.fire = [](Timer& timer) noexcept {
    Log& log = *static_cast<SyncTimer&>(timer).log;
    log.hurry(log.last());
  };
}

Log::~Log() {
  assert(scope_.live() == 0 && "close() a log before it goes");
  while (GroupBuffer* group = closed_.pop()) delete group;
  while (GroupBuffer* group = free_.pop()) delete group;
  delete open_;
}

Task<Result<std::unique_ptr<Log>>> Log::open(blob::Store& store, std::uint32_t id, LogOptions options,
                                             std::uint64_t first_needed, LogOwner& owner) {
  Recovered recovered = CO_TRY(co_await recover(store, id, first_needed, owner));
  std::unique_ptr<Log> log(new Log(store, id, options, owner));
  log->next_index_ = recovered.next_index;
  log->last_ordinal_ = recovered.ordinal;
  log->follows_ = recovered.session;
  log->durable_ = {log->last(), recovered.sequence};
  while ((log->session_ = Shard::current().random()) == 0) {
  }
  for (int i = 0; i < 2; ++i) {
    IoBuffer memory = CO_TRY(Shard::current().buffers().allocate_regardless(log->options_.buffer_bytes));
    log->free_.push(*new GroupBuffer(std::move(memory)));
    ++log->free_count_;
  }
  CO_TRY(co_await log->segments_.start(recovered));
  log->scope_.spawn(log->write_batches(), Share::foreground);
  co_return log;
}

Task<Result<>> Log::close() {
  segments_.give_up();
  Result<> result = co_await durable(last());
  closing_ = true;
  work_.notify_all();
  co_await scope_.join();
  co_await segments_.stop();
  Shard::current().timers().disarm(sync_timer_);
  if (!stop_reason_ && !segments_.closed()) result = co_await segments_.mark_closed(last_ordinal_);
  co_return result;
}

LogPosition Log::last() const noexcept {
  return {next_index_ - 1, last_ordinal_};
}

std::uint64_t Log::record_bytes_max() const noexcept {
  return options_.segment_bytes - 4 * blob::block_bytes;
}

Result<LogPosition> Log::append(const RecordHeader& header, std::span<const Bytes> parts) noexcept {
  std::uint64_t payload = 0;
  for (const Bytes part : parts) payload += part.size();
  return append_in_place(header, payload, [&](std::byte* to) {
    for (const Bytes part : parts) {
      if (!part.empty()) std::memcpy(to, part.data(), part.size());
      to += part.size();
    }
  });
}

Result<std::byte*> Log::reserve(std::uint64_t payload) noexcept {
  if (stop_reason_) [[unlikely]]
    return std::unexpected(*stop_reason_);
  if (payload > record_bytes_max()) return fail(Errc::too_large, "log append");
  if (segments_.starved() && !has_space(payload)) [[unlikely]]
    return fail(Errc::no_space, "log append");

  if (open_ != nullptr && !open_->fits(payload)) close_group();
  if (open_ == nullptr) {
    open_ = take_buffer(payload);
    if (open_ == nullptr) return fail(Errc::no_memory, "log append");
    open_->open(++last_ordinal_, next_index_);
  }
  return open_->reserve();
}

/// The payload is where reserve() said.
LogPosition Log::commit(const RecordHeader& header, std::uint64_t payload) noexcept {
  open_->commit(header, next_index_, static_cast<std::uint32_t>(payload));
  ++stats_.records;
  stats_.record_bytes += payload;
  if (!sync_timer_.armed) {
    Shard& shard = Shard::current();
    shard.timers().arm(sync_timer_, shard.turn_time() + options_.sync_period);
  }
  return LogPosition{next_index_++, last_ordinal_};
}

Result<LogPosition> Log::truncate_suffix(std::uint64_t index) noexcept {
  if (index == 0 || index > next_index_) return fail(Errc::invalid, "log truncate", {.offset = index});
  close_group();
  const std::uint64_t next_index = std::exchange(next_index_, index);
  const auto position = append({.type = RecordType::truncate_suffix}, std::span<const Bytes>());
  if (!position) {
    next_index_ = next_index;
    return position;
  }
  next_index_ = index;
  return position;
}

// A large record has a buffer of its own size, which is not kept.
GroupBuffer* Log::take_buffer(std::uint64_t payload) noexcept {
  const std::uint64_t needed = group_header_bytes + record_bytes(payload);
  if (needed <= options_.buffer_bytes) {
    if (GroupBuffer* group = free_.pop()) {
      buffer_bytes_in_use_ += group->capacity();
      --free_count_;
      return group;
    }
  }
  const std::uint64_t bytes = blob::align_up(std::max(needed, options_.buffer_bytes));
  if (buffer_bytes_in_use_ != 0 && buffer_bytes_in_use_ + bytes > options_.memory_bytes) return nullptr;
  // Admitted already: what the log holds is bounded by memory_bytes, and what it is written for by the cap.
  auto memory = Shard::current().buffers().allocate_regardless(bytes);
  if (!memory) return nullptr;
  buffer_bytes_in_use_ += bytes;
  return new GroupBuffer(*std::move(memory));
}

void Log::give_back(GroupBuffer* group) noexcept {
  buffer_bytes_in_use_ -= group->capacity();
  queued_bytes_ -= group->bytes();
  if (group->capacity() == options_.buffer_bytes && free_count_ < free_buffers_max) {
    free_.push(*group);
    ++free_count_;
  } else {
    delete group;
  }
}

void Log::close_group() noexcept {
  if (open_ == nullptr) return;
  queued_bytes_ += open_->bytes();
  closed_.push(*std::exchange(open_, nullptr));
  work_.notify_one();
}

// With no space for a next segment: whether the ones at hand take what waits and one more group with this
// record.
bool Log::has_space(std::uint64_t payload) noexcept {
  std::uint64_t room = segments_.active().room();
  std::uint64_t next_room = segments_.next_room();
  const auto take = [&](std::uint64_t bytes) {
    if (bytes > room) room = std::exchange(next_room, 0);
    if (bytes > room) return false;
    room -= bytes;
    return true;
  };
  for (GroupBuffer* group = closed_.front(); group != nullptr; group = group->next) {
    if (!take(group->bytes())) return false;
  }
  if (open_ != nullptr && !take(open_->bytes())) return false;
  return take(blob::align_up(group_header_bytes + record_bytes(payload)));
}

void Log::hurry(LogPosition position) noexcept {
  if (position <= durable_.position || position.group <= wanted_ordinal_) return;
  wanted_ordinal_ = position.group;
  work_.notify_one();
}

bool Log::batch_ready() const noexcept {
  return !closed_.empty() || (open_ != nullptr && open_->ordinal() <= wanted_ordinal_);
}

Task<> Log::write_batches() {
  for (;;) {
    while (!batch_ready()) {
      if (closing_) co_return;
      (void)co_await work_.wait();
    }
    const Result<> written = co_await write_batch();
    if (!written) {
      stop(written.error());
      co_return;
    }
    if (closed_.empty()) co_await yield();
  }
}

Task<Result<>> Log::write_batch() {
  if (open_ != nullptr && open_->ordinal() <= wanted_ordinal_) close_group();
  if (segments_.closed()) CO_TRY(co_await segments_.mark_open());
  if (closed_.front()->bytes() > segments_.active().room()) CO_TRY(co_await segments_.advance());
  LiveSegment& segment = segments_.active();

  std::array<Bytes, write_groups_max> parts;
  std::size_t count = 0;
  std::uint64_t bytes = 0;
  GroupQueue batch;
  while (count < parts.size() && !closed_.empty() && closed_.front()->bytes() <= segment.room() - bytes) {
    GroupBuffer* group = closed_.pop();
    parts[count] =
        group->seal(durable_.position.group, session_, follows_, {segment.generation, segment.end + bytes});
    follows_ = session_;
    bytes += parts[count++].size();
    batch.push(*group);
  }
  const Result<> written = co_await segment.blob->write(segment.end, {parts.data(), count});
  if (!written) {
    while (GroupBuffer* group = batch.pop()) give_back(group);
    co_return written;
  }
  ++stats_.writes;
  stats_.write_bytes += bytes;
  acknowledge(batch, segment);
  co_return Result<>();
}

void Log::acknowledge(GroupQueue& written, LiveSegment& segment) {
  const bool begins_segment = !segment.written();
  while (GroupBuffer* group = written.pop()) {
    segment.mark(group->first_index(), segment.end, group->truncates());
    segment.end += group->bytes();
    durable_.position = {group->last_index(), group->ordinal()};
    if (group->last_sequence() != 0) durable_.sequence = group->last_sequence();
    ++stats_.groups;
    give_back(group);
  }
  owner_.on_durable(durable_);
  wake_settled();
  if (has_room()) room_.notify_all();
  if (begins_segment) release_unheld();
}

void Log::wake_settled() noexcept {
  while (!waiting_.empty() && (stop_reason_ || waiting_.front().position_ <= durable_.position)) {
    DurableAwaiter& waiter = *waiting_.pop_front();
    waiter.make_ready();
  }
}

void Log::stop(const Error& why) noexcept {
  stop_reason_ = why;
  stop_reason_->code = Errc::stopped;
  while (GroupBuffer* group = closed_.pop()) give_back(group);
  owner_.on_stopped(why);
  wake_settled();
  room_.notify_all();
}

void Log::DurableAwaiter::await_suspend(std::coroutine_handle<> suspended) noexcept {
  arm(suspended);
  auto at = log_.waiting_.end();
  while (at != log_.waiting_.begin()) {
    auto before = at;
    if ((--before)->position_ <= position_) break;
    at = before;
  }
  if (at == log_.waiting_.end()) {
    log_.waiting_.push_back(*this);
  } else {
    log_.waiting_.insert_before(*at, *this);
  }
  log_.hurry(position_);
}

Result<> Log::DurableAwaiter::await_resume() const noexcept {
  if (position_ <= log_.durable_.position) return {};
  return std::unexpected(*log_.stop_reason_);
}

Log::Hold::Hold(Log& log, std::uint64_t index) noexcept : log_(log), index_(index) {
  log_.holds_.push_back(*this);
}

Log::Hold::~Hold() {
  unlink();
  log_.release_unheld();
}

void Log::Hold::advance(std::uint64_t index) noexcept {
  if (index <= index_) return;
  index_ = index;
  log_.release_unheld();
}

void Log::release_unheld() noexcept {
  if (holds_.empty()) return;
  std::uint64_t lowest = holds_.front().index_;
  for (const Hold& hold : holds_) lowest = std::min(lowest, hold.index_);
  segments_.release(lowest);
}

LogStats Log::stats() const noexcept {
  LogStats stats = stats_;
  for (const LiveSegment& segment : segments_.live()) {
    ++stats.segments;
    stats.segment_bytes += segment.blob->bytes();
  }
  stats.segments_created = segments_.created();
  stats.segments_recycled = segments_.recycled();
  stats.segment_waits = segments_.waits();
  return stats;
}

}  // namespace ashlar::wal

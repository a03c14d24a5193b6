#include "ashlar/log/segments.h"

#include <algorithm>
#include <utility>

#include "ashlar/base/log.h"
#include "ashlar/log/segment_reader.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::wal {
namespace {

constexpr std::uint64_t mark_distance_bytes = 64u << 10;
constexpr Duration retry_period = std::chrono::seconds(1);
constexpr std::uint64_t rewrite_bytes_max = 1u << 20;  // at once
constexpr Duration soon = std::chrono::seconds(1);

}  // namespace

void LiveSegment::mark(std::uint64_t first_index, std::uint64_t offset, bool truncates) {
  if (marks.empty() || truncates || offset - marks.back().offset >= mark_distance_bytes) {
    marks.push_back({first_index, offset});
  }
}

Segments::Segments(blob::Store& store, std::uint32_t log, const LogOptions& options) noexcept
    : store_(store), log_(log), options_(options), scope_(nullptr) {}

Task<Result<>> Segments::start(Recovered& recovered) {
  live_ = std::move(recovered.live);
  generation_ = recovered.generation;
  number_ = recovered.number;
  closed_ = recovered.closed;
  if (!live_.empty() && !closed_) CO_TRY(co_await write_again(active(), recovered.tail));
  for (auto& blob : recovered.unused) {
    LiveSegment voided = CO_TRY(co_await give_generation(std::move(blob)));
    unused_.push_back(std::move(voided.blob));
  }
  if (live_.empty()) live_.push_back(CO_TRY(co_await prepare()));
  scope_.spawn(keep_ready(), Share::flush);
  co_return Result<>();
}

void Segments::give_up() noexcept {
  giving_up_ = true;
  ready_.notify_all();
}

Task<> Segments::stop() {
  stopping_ = true;
  nudge_.nudge();
  co_await scope_.join();
}

Task<Result<>> Segments::advance() {
  if (!next_) ++waits_;
  while (!next_) {
    const bool waits_for_space = starved_ && !giving_up_;
    if (failure_ && !waits_for_space) co_return std::unexpected(*failure_);
    CO_TRY(co_await ready_.wait());
  }
  live_.push_back(std::move(*next_));
  next_.reset();
  const Instant now = Shard::current().now();
  hurried_ = now - std::exchange(advanced_, now) < soon;
  nudge_.nudge();
  co_return Result<>();
}

void Segments::release(std::uint64_t index) noexcept {
  bool released = false;
  while (live_.size() > 1 && live_[1].written() && live_[1].marks.front().index <= index &&
         live_[0].readers == 0) {
    unused_.push_back(std::move(live_.front().blob));
    live_.pop_front();
    released = true;
  }
  if (released) nudge_.nudge();
}

Task<> Segments::keep_ready() {
  while (!stopping_) {
    if (!next_ && unused_.empty() && making_spare_) {
      co_await nudge_.wait();  // that one, or one that is released first
    } else if (!next_) {
      Result<LiveSegment> prepared = co_await prepare();
      if (prepared) {
        next_ = std::move(*prepared);
        failure_.reset();
        starved_ = false;
        ready_.notify_all();
        continue;
      }
      if (!failure_) log::warn("log {}: no next segment: {}", log_, prepared.error());
      failure_ = prepared.error();
      starved_ = failure_->code == Errc::no_space;
      ready_.notify_all();
      if (!stopping_) co_await nudge_.wait_at_most(retry_period);
    } else {
      if (hurried_ && !making_spare_ && unused_.empty() && options_.spares != 0 && !store_.full()) {
        hurried_ = false;
        making_spare_ = true;
        scope_.spawn(make_spare(), Share::flush);
      }
      const Instant again = co_await remove_surplus();
      if (stopping_ || !next_) continue;
      if (again == never) {
        co_await nudge_.wait();
      } else {
        co_await nudge_.wait_at_most(again - Shard::current().now());
      }
    }
  }
}

Task<Result<LiveSegment>> Segments::prepare() {
  while (!unused_.empty()) {
    std::unique_ptr<blob::Segment> blob = std::move(unused_.back());
    unused_.pop_back();
    least_unused_ = std::min(least_unused_, unused_.size());
    if (blob->bytes() != options_.segment_bytes) {
      CO_TRY(co_await remove(std::move(blob)));
      continue;
    }
    ++recycled_;
    co_return co_await give_generation(std::move(blob));
  }
  co_return co_await give_generation(CO_TRY(co_await create()));
}

Task<Result<>> Segments::write_header(LiveSegment& segment, std::uint64_t closed) {
  const IoBuffer block = CO_TRY(Shard::current().buffers().allocate_regardless(blob::block_bytes));
  encode(SegmentHeader{.generation = segment.generation,
                       .log = log_,
                       .number = segment.number(),
                       .bytes = segment.blob->bytes(),
                       .closed = closed},
         block.bytes());
  const Bytes header = block.bytes();
  co_return co_await segment.blob->write(0, {&header, 1});
}

Task<Result<>> Segments::mark_closed(std::uint64_t last_ordinal) {
  CO_TRY(co_await write_header(active(), last_ordinal + 1));
  closed_ = true;
  co_return Result<>();
}

Task<Result<>> Segments::mark_open() {
  CO_TRY(co_await write_header(active(), 0));
  closed_ = false;
  co_return Result<>();
}

// The header is what makes everything that the segment held before void.
Task<Result<LiveSegment>> Segments::give_generation(std::unique_ptr<blob::Segment> blob) {
  LiveSegment segment;
  segment.blob = std::move(blob);
  segment.generation = ++generation_;
  segment.marks.reserve(segment.blob->bytes() / mark_distance_bytes + 1);
  CO_TRY(co_await write_header(segment, 0));
  co_return segment;
}

// What a failed write or a killed process left is visible, and may not be durable even after a sync: a sync
// that failed before, in whichever process, loses what it should have written, and later ones do not know.
// Bytes are replaced by the same bytes, so that nothing is lost where this is torn.
Task<Result<>> Segments::write_again(LiveSegment& segment, std::uint64_t from) {
  SegmentReader reader(*segment.blob, segment.generation);
  for (std::uint64_t at = from; at < segment.end;) {
    const Bytes bytes = CO_TRY(co_await reader.read(at, std::min(segment.end - at, rewrite_bytes_max)));
    CO_TRY(co_await segment.blob->write(at, {&bytes, 1}));
    at += bytes.size();
  }
  co_return Result<>();
}

/// Beside keep_ready(): to make one takes a good part of the time for which it lasts then, on a busy disk,
/// and what is released meanwhile may be needed first.
Task<> Segments::make_spare() {
  auto made = co_await create();
  if (made) unused_.push_back(*std::move(made));  // else who needs the next one hears why there is none
  making_spare_ = false;
  nudge_.nudge();
}

Task<Result<std::unique_ptr<blob::Segment>>> Segments::create() {
  ++created_;
  co_return co_await store_.create_segment({log_, ++number_}, options_.segment_bytes);
}

/// Removes what was not needed since the last look, which is a while ago. When to look again.
Task<Instant> Segments::remove_surplus() {
  const Instant now = Shard::current().now();
  if (unused_.size() > options_.spares) {
    if (now < looked_ + options_.spare_period) co_return looked_ + options_.spare_period;
    for (; least_unused_ > options_.spares && !stopping_; --least_unused_) {
      std::unique_ptr<blob::Segment> blob = std::move(unused_.front());
      unused_.erase(unused_.begin());
      const Result<> removed = co_await remove(std::move(blob));
      if (!removed) log::warn("log {}: a released segment stays: {}", log_, removed.error());
    }
  }
  looked_ = now;
  least_unused_ = unused_.size();
  co_return unused_.size() > options_.spares ? now + options_.spare_period : never;
}

Task<Result<>> Segments::remove(std::unique_ptr<blob::Segment> blob) {
  const blob::SegmentName name = blob->name();
  blob.reset();
  co_return co_await store_.remove_segment(name);
}

}  // namespace ashlar::wal

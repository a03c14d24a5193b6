/// 1. Check that the device has every block, and may be written where the trace writes.
/// 2. For each entry, in the order of submission: wait until its pace lets it start, and until fewer than the
///    bound are in flight; take a flight (a request and its memory), and submit it.
/// 3. A completion records its latency, gives the flight back, and wakes the loop.
///
/// Dependencies: let the entries be ranked by their completion. The k that had completed before an entry came
/// are the first k ranks; it starts once all of these have completed here. That keeps whatever order the
/// callers waited for, and never has more in flight than they had.

#include "ashlar/layer/trace/replay.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "ashlar/base/endian.h"
#include "ashlar/base/random.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::trace {

namespace {

struct Range {
  std::uint64_t first, blocks;
};

/// Which completions an entry waits for.
class Dependencies {
 public:
  explicit Dependencies(const std::vector<Entry>& entries)
      : by_rank_(entries.size()), rank_(entries.size()), done_(entries.size()), entries_(entries) {
    std::iota(by_rank_.begin(), by_rank_.end(), 0u);
    std::ranges::sort(by_rank_, {}, [&](std::uint32_t i) { return std::pair(entries[i].completed_ns, i); });
    for (std::uint32_t rank = 0; rank < by_rank_.size(); ++rank) rank_[by_rank_[rank]] = rank;
  }

  /// Asked in the order of submission. Of what ended in the very moment in which the entry came, it waits for
  /// those before it: so all that it waits for has been started.
  bool may_start(std::size_t index) noexcept {
    const std::uint64_t submitted = entries_[index].submitted_ns();
    for (; needed_ < by_rank_.size(); ++needed_) {
      const std::uint64_t completed = entries_[by_rank_[needed_]].completed_ns;
      if (completed > submitted || (completed == submitted && by_rank_[needed_] >= index)) break;
    }
    return completed_ >= needed_;
  }
  void complete(std::size_t index) noexcept {
    done_[rank_[index]] = true;
    while (completed_ < done_.size() && done_[completed_]) ++completed_;
  }

 private:
  std::vector<std::uint32_t> by_rank_, rank_;
  std::vector<bool> done_;  // by rank
  const std::vector<Entry>& entries_;
  std::size_t needed_ = 0;     // the first so many ranks
  std::size_t completed_ = 0;  // likewise
};

/// Owner: one shard, for one replay.
class Replayer {
 public:
  Replayer(Channel& channel, const Trace& trace, const ReplayOptions& options)
      : channel_(channel), trace_(trace), options_(options), random_(options.seed) {
    if (options.pace == Pace::dependent) dependencies_ = std::make_unique<Dependencies>(trace.entries);
  }

  Result<> check() const;
  Task<Result<ReplayReport>> run();

 private:
  struct Flight : Request {
    Replayer* replayer = nullptr;
    IoBuffer memory;
    Segment segment;
    bool drawn = false;     // the memory holds what is to be written
    std::size_t index = 0;  // of its entry
    Instant submitted;
  };
  class Completion;  // awaits the next one

  bool left_out(const Entry& entry) const noexcept {
    return options_.writes == Writes::skip && mutates(entry.op);
  }
  Range range_of(const Entry& entry) const noexcept;
  std::uint32_t bound() const noexcept {
    return options_.pace == Pace::depth ? std::min(options_.depth, options_.in_flight_max)
                                        : options_.in_flight_max;
  }
  Task<> wait_for_turn(std::size_t index);
  Result<> launch(std::size_t index);
  Result<> prepare(Flight& flight, const Entry& entry);
  void land(Flight& flight) noexcept;

  Channel& channel_;
  const Trace& trace_;
  const ReplayOptions options_;
  Random random_;
  std::unique_ptr<Dependencies> dependencies_;
  std::vector<std::unique_ptr<Flight>> flights_;
  std::vector<Flight*> free_;
  std::uint32_t in_flight_ = 0;
  Waiter* waiting_ = nullptr;
  Instant began_, ended_;
  ReplayReport report_;
};

class Replayer::Completion : private Waiter {
 public:
  explicit Completion(Replayer& replayer) noexcept : replayer_(replayer) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> suspended) noexcept {
    arm(suspended);
    replayer_.waiting_ = this;
  }
  void await_resume() const noexcept {}

 private:
  Replayer& replayer_;
};

/// In blocks of this device, outwards.
Range Replayer::range_of(const Entry& entry) const noexcept {
  const std::uint64_t here = channel_.geometry().block_bytes, there = trace_.header.block_bytes;
  if (here == there) return {entry.lba, entry.blocks};
  if (here < there) return {entry.lba * (there / here), entry.blocks * (there / here)};
  const std::uint64_t ratio = here / there, first = entry.lba / ratio;
  if (entry.blocks == 0) return {first, 0};
  return {first, (entry.lba + entry.blocks - 1) / ratio - first + 1};
}

Result<> Replayer::check() const {
  if (!(options_.speed > 0) || options_.depth == 0 || options_.in_flight_max == 0)
    return fail(Errc::invalid, "replay: speed, depth and requests in flight are more than 0");
  const Geometry& geometry = channel_.geometry();
  const std::uint64_t blocks_max = geometry.bytes() / trace_.header.block_bytes;  // of the trace's
  for (const Entry& entry : trace_.entries) {
    if (left_out(entry)) continue;
    const ErrorPlace place{.offset = entry.lba};
    if (mutates(entry.op) && options_.writes == Writes::refuse)
      return fail(Errc::permission, "replay: the trace writes, and that was not allowed", place);
    if (entry.op == Op::flush) continue;
    if (entry.lba > blocks_max || entry.blocks > blocks_max - entry.lba)
      return fail(Errc::too_large, "replay: the trace reaches beyond the end of the device", place);
    if (entry.blocks == 0) return fail(Errc::corrupt, "replay: a request without blocks", place);
  }
  return {};
}

Task<> Replayer::wait_for_turn(std::size_t index) {
  if (options_.pace == Pace::recorded) {
    const auto since = trace_.entries[index].submitted_ns() - trace_.entries.front().submitted_ns();
    const Instant due =
        began_ + Duration(static_cast<Duration::rep>(static_cast<double>(since) / options_.speed));
    if (due > Shard::current().now()) static_cast<void>(co_await sleep_until(due));
    while (in_flight_ >= bound()) co_await Completion(*this);
    report_.late_max = std::max(report_.late_max, Shard::current().now() - due);
    co_return;
  }
  while (in_flight_ >= bound() || (dependencies_ && !dependencies_->may_start(index)))
    co_await Completion(*this);
}

Result<> Replayer::prepare(Flight& flight, const Entry& entry) {
  const auto [first, blocks] = range_of(entry);
  flight.op = entry.op == Op::compare_and_write ? Op::write : entry.op;
  flight.lba = Lba(first);
  flight.blocks = blocks;
  flight.data = {};
  // A device without atomic writes replays them as others.
  const bool atomic = entry.atomic && channel_.geometry().atomic_write_bytes_max != 0;
  flight.options = {.durable = entry.durable, .atomic = atomic, .priority = entry.priority};
  if (!has_data(flight.op)) return {};
  const std::uint64_t bytes = blocks * channel_.geometry().block_bytes;
  if (flight.memory.size() < bytes) {
    flight.memory = IoBuffer();
    flight.memory = TRY(Shard::current().buffers().allocate(bytes));
    flight.drawn = false;
  }
  if (flight.op == Op::write && !flight.drawn) {
    for (std::size_t at = 0; at + 8 <= flight.memory.size(); at += 8)
      store_le(flight.memory.data() + at, random_.next());
  }
  flight.drawn = flight.op == Op::write;  // a read overwrites it
  flight.segment = Channel::segment_of(flight.memory);
  flight.segment.size = static_cast<std::uint32_t>(bytes);
  flight.data = {&flight.segment, 1};
  report_.bytes += bytes;
  return {};
}

Result<> Replayer::launch(std::size_t index) {
  if (free_.empty()) {
    flights_.push_back(std::make_unique<Flight>());
    flights_.back()->replayer = this;
    flights_.back()->complete = [](Request& request) noexcept {
      auto& flight = static_cast<Flight&>(request);
      flight.replayer->land(flight);
    };
    free_.reserve(flights_.size());  // land() must not allocate
    free_.push_back(flights_.back().get());
  }
  Flight& flight = *free_.back();
  TRY(prepare(flight, trace_.entries[index]));
  free_.pop_back();
  flight.index = index;
  flight.submitted = Shard::current().now();
  report_.in_flight_max = std::max(report_.in_flight_max, ++in_flight_);
  channel_.submit(flight);
  return {};
}

void Replayer::land(Flight& flight) noexcept {
  const Entry& entry = trace_.entries[flight.index];
  const auto op = static_cast<std::size_t>(entry.op);
  ended_ = Shard::current().now();
  ++report_.requests;
  report_.recorded[op].record(entry.latency_ns);
  report_.replayed[op].record(static_cast<std::uint64_t>((ended_ - flight.submitted).count()));
  if (!flight.result) {
    ++report_.errors;
    if (!report_.first_error) report_.first_error = flight.result.error();
  }
  if (dependencies_) dependencies_->complete(flight.index);
  --in_flight_;
  free_.push_back(&flight);
  if (waiting_ != nullptr) std::exchange(waiting_, nullptr)->make_ready();
}

Task<Result<ReplayReport>> Replayer::run() {
  Shard& shard = Shard::current();
  began_ = ended_ = shard.now();
  std::uint64_t last_ns = 0;
  Result<> launched;
  for (std::size_t i = 0; i < trace_.entries.size() && launched; ++i) {
    const Entry& entry = trace_.entries[i];
    last_ns = std::max(last_ns, entry.completed_ns);
    if (left_out(entry)) {
      ++report_.skipped;
      if (dependencies_) dependencies_->complete(i);
      continue;
    }
    co_await wait_for_turn(i);
    launched = launch(i);
    if (shard.should_yield()) co_await yield();  // a device that completes at once must not hold the shard
  }
  while (in_flight_ != 0) co_await Completion(*this);
  if (!launched) co_return std::unexpected(launched.error());
  if (!trace_.entries.empty())
    report_.recorded_time =
        Duration(static_cast<Duration::rep>(last_ns - trace_.entries.front().submitted_ns()));
  report_.replayed_time = ended_ - began_;
  co_return std::move(report_);
}

}  // namespace

Task<Result<ReplayReport>> replay(Channel& channel, const Trace& trace, ReplayOptions options) {
  const auto replayer = std::make_unique<Replayer>(channel, trace, options);  // 400 KiB of histograms
  CO_TRY(replayer->check());
  co_return co_await replayer->run();
}

}  // namespace ashlar::trace

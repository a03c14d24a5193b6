/// One I/O's way through the callback form:
///
/// 1. A free slot takes the next address of a table made beforehand, and the time of the last completion.
/// 2. submit(). The completion, inside of it or in a later turn, puts the slot on a list: it must not submit.
/// 3. The list is drained: the time is taken, the latency recorded, and the slot goes on with 1. So that
///    devices which complete inside submit() leave the shard its turns, a drain ends after some I/Os.

#include "bench/block/job.h"

#include <bit>
#include <memory>
#include <utility>

#include "ashlar/base/random.h"
#include "ashlar/block/device.h"
#include "ashlar/device/standard_registry.h"
#include "bench/block/local_shard.h"
#include "bench/block/random_data.h"
#include "bench/machine.h"

namespace ashlar::bench::block {

namespace {

/// An address of the table: the block, and in the top bit whether it is written.
constexpr std::uint64_t write_bit = std::uint64_t{1} << 63;

std::vector<std::uint64_t> make_places(const JobOptions& options, const Geometry& geometry) {
  constexpr std::uint64_t count_max = std::uint64_t{1} << 18;
  const std::uint64_t ios = geometry.bytes() / options.io_bytes;
  const std::uint64_t blocks_each = options.io_bytes / geometry.block_bytes;
  Random random(options.seed);
  std::vector<std::uint64_t> places(std::min(count_max, std::bit_floor(std::max<std::uint64_t>(ios, 2))));
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::uint64_t at = options.random ? random.below(ios) : i % ios;
    const bool writes = random.below(100) >= options.read_percent;
    places[i] = at * blocks_each | (writes ? write_bit : 0);
  }
  return places;
}

/// Keeps the I/Os in flight. On the shard that made it; destroyed when run() has returned.
class Pump {
 public:
  Pump(LocalShard& shard, const JobOptions& options, Channel& channel, IoBuffer memory)
      : shard_(shard),
        options_(options),
        channel_(channel),
        memory_(std::move(memory)),
        places_(make_places(options, channel.geometry())),
        mask_(places_.size() - 1),
        ios_max_(options.ios != 0 ? options.ios : ~std::uint64_t{0}),
        slots_(std::make_unique<Slot[]>(options.queue_depth)),
        result_(std::make_unique<JobResult>()) {
    fill_random(memory_.bytes(), options.seed);
    for (unsigned i = 0; i < options.queue_depth; ++i) {
      Slot& slot = slots_[i];
      slot.memory = Channel::segment_of(memory_);
      slot.memory.data += std::size_t{i} * options.io_bytes;
      slot.memory.size = options.io_bytes;
      slot.memory.region += static_cast<std::uint32_t>(
          static_cast<std::size_t>(slot.memory.data - memory_.data()) / Region::bytes);
      slot.data = {&slot.memory, 1};
      slot.context = this;
      slot.complete = completed;
    }
  }

  Result<JobResult> run() {
    rate_ = cycles_per_second();
    recording_ = options_.ios != 0;
    started_ = cycles();
    event_ = options_.ios != 0 ? ~std::uint64_t{0} : started_ + cycles_of(options_.seconds / 10);
    allocations_ = allocations();
    if (options_.form == Form::callback) {
      run_callbacks();
    } else {
      run_tasks();
    }
    TRY(std::move(failed_));
    result_->seconds = static_cast<double>(ended_ - started_) / rate_;
    result_->cycles_per_ns = rate_ / 1e9;
    return std::move(*result_);
  }

 private:
  struct Slot : Request {
    Segment memory;
    std::uint64_t started = 0;
    Slot* done_after = nullptr;
  };

  std::uint64_t cycles_of(double seconds) const { return static_cast<std::uint64_t>(seconds * rate_); }

  static void completed(Request& request) noexcept {
    Slot& slot = static_cast<Slot&>(request);
    Pump& pump = *static_cast<Pump*>(slot.context);
    slot.done_after = pump.done_;
    pump.done_ = &slot;
  }

  void issue(Slot& slot, std::uint64_t now) noexcept {
    const std::uint64_t place = places_[next_++ & mask_];
    slot.op = (place & write_bit) != 0 ? Op::write : Op::read;
    slot.lba = Lba(place & ~write_bit);
    slot.started = now;
    channel_.submit(slot);
  }

  void run_callbacks() noexcept {
    const std::uint64_t now = cycles();
    for (unsigned i = 0; i < options_.queue_depth; ++i) issue(slots_[i], now);
    for (unsigned in_flight = options_.queue_depth; in_flight != 0;) {
      in_flight -= drain();
      if (done_ != nullptr) {
        shard_->poll_once();
      } else if (in_flight != 0) {
        turn();
      }
    }
  }

  /// Returns how many slots went out of use.
  unsigned drain() noexcept {
    constexpr unsigned ios_per_turn = 256;
    unsigned ended = 0;
    for (unsigned drained = 0; done_ != nullptr && drained < ios_per_turn;) {
      Slot* batch = std::exchange(done_, nullptr);
      do {
        Slot& slot = *std::exchange(batch, batch->done_after);
        const std::uint64_t now = cycles();
        if (count(slot.result, now, now - slot.started)) {
          issue(slot, now);
        } else {
          ++ended;
        }
        ++drained;
      } while (batch != nullptr);
    }
    return ended;
  }

  /// Counts an I/O; false where it was the last of its slot.
  bool count(const Result<>& result, std::uint64_t now, std::uint64_t latency) noexcept {
    if (!result) [[unlikely]] {
      if (failed_) failed_ = result;
      stopping_ = true;
      return false;
    }
    if (recording_) {
      result_->latency_cycles.record(latency);
      ++result_->ios;
    }
    if (now >= event_ || result_->ios == ios_max_) [[unlikely]]
      on_event(now);
    return !stopping_;
  }

  /// The end of warming up, and of measuring.
  void on_event(std::uint64_t now) noexcept {
    if (stopping_) return;
    if (recording_) {
      ended_ = now;
      result_->allocations = allocations() - allocations_;
      recording_ = false;
      stopping_ = true;
    } else {
      recording_ = true;
      started_ = now;
      event_ = now + cycles_of(options_.seconds);
      allocations_ = allocations();
    }
  }

  void turn() noexcept {
    if (options_.waiting == Waiting::asleep) {
      shard_.turn_or_sleep();
    } else {
      shard_->poll_once();
    }
  }

  void run_tasks() noexcept {
    TaskScope scope(nullptr);
    for (unsigned i = 0; i < options_.queue_depth; ++i)
      scope.spawn(work(this, slots_[i].memory), Share::foreground);
    while (scope.live() != 0) turn();
  }

  static Task<> work(Pump* self, Segment memory) {
    std::uint64_t started = cycles();
    for (;;) {
      const std::uint64_t place = self->places_[self->next_++ & self->mask_];
      const Op op = (place & write_bit) != 0 ? Op::write : Op::read;
      const Result<> result = co_await Io(self->channel_, op, Lba(place & ~write_bit), memory, IoOptions());
      const std::uint64_t now = cycles();
      if (!self->count(result, now, now - started)) co_return;
      started = now;
    }
  }

  LocalShard& shard_;
  const JobOptions& options_;
  Channel& channel_;
  const IoBuffer memory_;
  const std::vector<std::uint64_t> places_;
  const std::uint64_t mask_;
  const std::uint64_t ios_max_;
  const std::unique_ptr<Slot[]> slots_;
  Slot* done_ = nullptr;
  std::uint64_t next_ = 0;
  std::uint64_t event_ = 0;  // cycles: when something changes
  bool recording_ = false, stopping_ = false;
  double rate_ = 1;
  std::uint64_t started_ = 0, ended_ = 0;
  std::uint64_t allocations_ = 0;
  Result<> failed_;
  const std::unique_ptr<JobResult> result_;
};

Task<Result<>> fill(Channel* channel, Bytes data) {
  const Geometry& geometry = channel->geometry();
  const std::uint64_t step = data.size() / geometry.block_bytes;
  for (std::uint64_t at = 0; at < geometry.blocks; at += step) {
    const std::uint64_t blocks = std::min(step, geometry.blocks - at);
    CO_TRY(co_await channel->write(Lba(at), data.first(blocks * geometry.block_bytes)));
  }
  co_return Result<>{};
}

Result<JobResult> run_on(LocalShard& shard, Channel& channel, const JobOptions& options) {
  const Geometry& geometry = channel.geometry();
  if (options.io_bytes % geometry.block_bytes != 0)
    return fail(Errc::invalid, "the size of an I/O is not in whole blocks of the device");
  if (geometry.bytes() < options.io_bytes) return fail(Errc::invalid, "the device is smaller than one I/O");
  IoBuffer memory = TRY(shard->buffers().allocate(std::size_t{options.io_bytes} * options.queue_depth));
  if (options.fill) {
    const IoBuffer data = TRY(shard->buffers().allocate(256 << 10));
    fill_random(data.bytes(), options.seed);
    TRY(shard.run(fill(&channel, data.bytes())));
  }
  return Pump(shard, options, channel, std::move(memory)).run();
}

}  // namespace

SpecResult<JobResult> run_job(const JobOptions& options) {
  const auto as_spec_error = [](const Error& error) {
    return std::unexpected(SpecError{.message = error.to_string(), .at = 0, .code = error.code});
  };
  auto shard = LocalShard::start();
  if (!shard) return as_spec_error(shard.error());
  auto device = (*shard)->run(standard_registry().open(options.spec));
  if (!device) return std::unexpected(device.error());
  Result<JobResult> result = fail(Errc::closed, "not run");
  if (const auto channel = (*shard)->run((*device)->channel()); channel) {
    result = run_on(**shard, **channel, options);
  } else {
    result = std::unexpected(channel.error());
  }
  if (result) result->notes = (*device)->notes();
  (*shard)->run((*device)->close());
  if (!result) return as_spec_error(result.error());
  return *std::move(result);
}

}  // namespace ashlar::bench::block

/// The way of a request:
///
/// 1. It belongs to the life (between two power cuts) in which it came, and fails once that is over.
/// 2. The plan judges it: which fault, if any.
/// 3. It goes to the cache, which lives on the home shard, or straight down; whole, in part, or elsewhere.
/// 4. What a read returns is spoilt, where that is the fault.

#include "ashlar/layer/fault/fault_channel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ashlar/layer/fault/segments.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar {

/// A request like another one, with data of its own, at another place.
struct FaultChannel::Step : Request {
  Step(const Request& like, Lba at, std::uint64_t count, std::span<const Segment> memory) noexcept
      : Request(like.op, at) {
    blocks = count;
    data = memory;
    options = like.options;
  }
};

/// Counts what is below, so that a power cut can wait for its end.
class FaultChannel::Below {
 public:
  explicit Below(FaultChannel& channel) noexcept : channel_(channel) { ++channel_.below_in_flight_; }
  Below(const Below&) = delete;
  Below& operator=(const Below&) = delete;
  ~Below() {
    if (--channel_.below_in_flight_ == 0 && channel_.drained_ != nullptr)
      std::exchange(channel_.drained_, nullptr)->set();
  }

 private:
  FaultChannel& channel_;
};

FaultChannel::FaultChannel(FaultDevice& device, Channel& below, std::uint64_t seed)
    : Layer(device),
      owner_(device),
      below_(below),
      plan_(device.chances_, seed),
      flush_watch_(device.flush_failures_) {}

Task<> FaultChannel::drain_below() {
  if (below_in_flight_ == 0) co_return;
  Event drained;
  drained_ = &drained;
  while (!drained.is_set()) static_cast<void>(co_await drained.wait());
}

std::unexpected<Error> FaultChannel::failure(const Request& request, int number) const noexcept {
  return fail_errno(number, to_string(request.op), {.offset = request.lba.value * geometry().block_bytes});
}

Task<Result<>> FaultChannel::serve(const Request& request) {
  const std::uint64_t life = owner_.life();
  if ((life & 1) != 0) co_return failure(request, ENODEV);
  const bool armed = owner_.armed_.load(std::memory_order_relaxed);
  const Verdict verdict = armed ? plan_.judge(request) : Verdict{};
  if (verdict.slow) {
    owner_.count(Fault::slow);
    const Instant due = Shard::current().now() + owner_.slow_by_;
    static_cast<void>(co_await sleep_until(std::min(due, request.options.deadline)));
    if (due > request.options.deadline) co_return failure(request, ETIMEDOUT);
  }
  if (verdict.fault) owner_.count(*verdict.fault);
  Result<> result = co_await carry_out(request, verdict, life);
  if (owner_.life() != life) result = failure(request, ENODEV);
  co_return result;
}

Task<Result<>> FaultChannel::carry_out(const Request& request, const Verdict& verdict, std::uint64_t life) {
  if (verdict.fault == Fault::read_error || verdict.fault == Fault::write_error)
    co_return failure(request, EIO);
  if (verdict.fault == Fault::lost || verdict.fault == Fault::lost_flush) co_return Result<>{};
  switch (request.op) {
    case Op::read: co_return co_await read(request, verdict, life);
    case Op::write:
    case Op::write_zeroes:
    case Op::compare_and_write:  // comes as a read and a write: see Channel::compares()
      co_return co_await write(request, verdict, life);
    case Op::trim: co_return co_await down(request, life);
    case Op::flush: break;
  }
  // What a failed flush lost may be of any shard: each learns of it.
  const std::uint64_t known = flush_watch_.known();
  const Result<> flushed = co_await flush(request, verdict, life);
  co_return flush_watch_.ended(known, flushed);
}

Task<Result<>> FaultChannel::flush(const Request& request, const Verdict& verdict, std::uint64_t life) {
  if (verdict.fault != Fault::flush_error) co_return co_await down(request, life);
  if (WriteCache* const cache = owner_.cache_.get())
    co_await invoke(owner_.home_, [&] { return cache->lose_some(owner_.random_); });
  co_return failure(request, EIO);
}

Task<Result<>> FaultChannel::read(const Request& request, const Verdict& verdict, std::uint64_t life) {
  const Lba lba = verdict.fault == Fault::misdirected_read ? elsewhere(request, verdict.detail) : request.lba;
  if (owner_.any_bad_.load(std::memory_order_relaxed)) {
    const auto bad = co_await invoke(owner_.home_, [&] { return owner_.first_bad(lba, request.blocks); });
    if (bad) {
      owner_.count(Fault::bad_block);
      co_return fail_errno(EIO, "read: bad block", {.offset = bad->value * geometry().block_bytes});
    }
  }
  const Step step(request, lba, request.blocks, request.data);
  CO_TRY(co_await down(step, life));
  if (verdict.fault == Fault::corrupt) {
    const std::uint64_t bit = verdict.detail % (request.blocks * geometry().block_bytes * 8);
    each_piece(request.data, bit / 8, 1, [bit](std::byte* memory, std::uint64_t, std::uint64_t) {
      *memory ^= static_cast<std::byte>(1u << (bit % 8));
    });
  }
  co_return Result<>{};
}

Task<Result<>> FaultChannel::write(const Request& request, const Verdict& verdict, std::uint64_t life) {
  if (verdict.fault) co_return co_await write_wrongly(request, verdict, life);
  CO_TRY(co_await down(request, life));
  if (owner_.any_bad_.load(std::memory_order_relaxed))
    co_await invoke(owner_.home_, [&] { owner_.heal(request.lba, request.blocks); });
  co_return Result<>{};
}

/// From a copy: the caller's memory is not ours to change, and its segments need not end where blocks do.
Task<Result<>> FaultChannel::write_wrongly(const Request& request, const Verdict& verdict,
                                           std::uint64_t life) {
  const std::uint64_t bytes = request.blocks * geometry().block_bytes;
  const IoBuffer copy = CO_TRY(Shard::current().buffers().allocate(bytes));
  gather(request.data, 0, copy.bytes());
  const Segment whole = segment_of(copy);
  Lba lba = request.lba;
  if (verdict.fault == Fault::torn || verdict.fault == Fault::torn_acknowledged) {
    CO_TRY(co_await write_in_part(request, copy.bytes(), verdict.detail, life));
    if (verdict.fault == Fault::torn) co_return failure(request, EIO);
    co_return Result<>{};
  }
  if (verdict.fault == Fault::misdirected) lba = elsewhere(request, verdict.detail);
  if (verdict.fault == Fault::corrupt_write) {
    const std::uint64_t bit = verdict.detail % (bytes * 8);
    copy.data()[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  }
  const Step step(request, lba, request.blocks, {&whole, 1});
  co_return co_await down(step, life);
}

/// Some blocks, but neither all nor none: each by a bit of chance, and two of them the opposite way.
Task<Result<>> FaultChannel::write_in_part(const Request& request, Bytes data, std::uint64_t chosen,
                                           std::uint64_t life) {
  Random random(chosen);
  std::vector<bool> written(request.blocks);
  for (std::uint64_t i = 0; i < request.blocks; ++i) written[i] = random.one_in(2);
  const std::uint64_t first = random.below(request.blocks);
  written[(first + 1 + random.below(request.blocks - 1)) % request.blocks] = !written[first];
  for (std::uint64_t i = 0; i < request.blocks;) {
    std::uint64_t end = i;
    while (end < request.blocks && written[end]) ++end;
    if (end != i) {
      const std::uint64_t block = geometry().block_bytes;
      const Segment run = segment_of(data.subspan(i * block, (end - i) * block));
      const Step step(request, Lba(request.lba.value + i), end - i, {&run, 1});
      CO_TRY(co_await down(step, life));
    }
    i = end + 1;
  }
  co_return Result<>{};
}

/// Another place of the same size, where there is one.
Lba FaultChannel::elsewhere(const Request& request, std::uint64_t chosen) const noexcept {
  const std::uint64_t places = geometry().blocks - request.blocks;  // beside its own
  if (places == 0) return request.lba;
  return Lba((request.lba.value + 1 + chosen % places) % (places + 1));
}

Task<Result<>> FaultChannel::down(const Request& step, std::uint64_t life) {
  if (WriteCache* const cache = owner_.cache_.get()) {
    co_return co_await invoke(owner_.home_, [&]() -> Task<Result<>> {
      return owner_.life() == life ? cache->serve(step) : fail_without_power(step);
    });
  }
  if (owner_.life() != life) co_return failure(step, ENODEV);
  const Below below(*this);
  co_return co_await below_.repeat(step);
}

Task<Result<>> FaultChannel::fail_without_power(const Request& step) {
  co_return failure(step, ENODEV);
}

}  // namespace ashlar

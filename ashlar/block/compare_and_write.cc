/// Compare and write, as one step among all writes to the device through this process:
///
/// 1. The device's home shard admits one at a time.
/// 2. Every shard's channel keeps back writes to the range from now on, and waits for those that it has under
/// way.
/// 3. The blocks are read, compared, and written where they match: the range has no other writer.
/// 4. The channels let the kept writes go.
///
/// A write that comes meanwhile thus happens after it; where none is under way, a write pays one look at a
/// flag.

#include "ashlar/block/compare_and_write.h"

#include <cstring>

#include "ashlar/block/device.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

/// Awaits a request that passes the obstacles which the compare-and-write itself has put up.
class CompareAndWrite::Step final : public Request, private Waiter {
 public:
  Step(Channel& channel, Op what, const Request& of, std::span<const Segment> memory) noexcept
      : Request(what, of.lba), channel_(channel) {
    data = memory;
    blocks = of.blocks;
    options = of.options;
    complete = [](Request& done) noexcept { static_cast<Step&>(done).make_ready(); };
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> suspended) noexcept {
    arm(suspended);
    channel_.begin(*this);
  }
  Result<> await_resume() const noexcept { return result; }

 private:
  Channel& channel_;
};

void Channel::Hold::keep(Request& request) noexcept {
  request.next = nullptr;
  *(kept == nullptr ? &kept : &last->next) = &request;
  last = &request;
}

CompareAndWrite::CompareAndWrite(Device& device, std::uint64_t first, std::uint64_t end)
    : device_(device), holds_(device.slots_.size()) {
  for (Channel::Hold& hold : holds_) {
    hold.first = first;
    hold.end = end;
  }
}

void CompareAndWrite::spawn(Channel& channel, Request& request) noexcept {
  channel.tasks_.spawn(run(&channel, &request));
}

Task<> CompareAndWrite::run(Channel* channel, Request* request) {
  const Result<> result = co_await carry_out(*channel, *request);
  channel->end(*request, result);
}

Task<Result<>> CompareAndWrite::carry_out(Channel& channel, const Request& request) {
  const std::uint64_t bytes = request.blocks * channel.geometry_.block_bytes;
  const ErrorPlace place{.offset = request.lba.value * channel.geometry_.block_bytes};
  if (bytes > Channel::compare_bytes_max) co_return fail(Errc::too_large, "compare and write", place);
  const IoBuffer found = CO_TRY(Shard::current().buffers().allocate(bytes));

  CompareAndWrite exclusion(channel.device_, request.lba.value, request.lba.value + request.blocks);
  co_await invoke(channel.device_.home_, [&] { return exclusion.take(); });

  const Segment into = Channel::segment_of(found);
  Result<> result = co_await Step(channel, Op::read, request, {&into, 1});
  if (result && std::memcmp(found.data(), request.expected, bytes) != 0)
    result = fail(Errc::conflict, "compare and write", place);
  if (result) result = co_await Step(channel, Op::write, request, request.data);

  co_await invoke(channel.device_.home_, [&] { return exclusion.release(); });
  co_return result;
}

Task<> CompareAndWrite::take() {
  alone_ = co_await device_.comparing_.lock();
  for (std::size_t shard = 0; shard < holds_.size(); ++shard)
    co_await invoke(ShardId(static_cast<unsigned>(shard)), [this, shard] { return hold_back(shard); });
}

Task<> CompareAndWrite::hold_back(std::size_t shard) {
  Device::Slot& slot = *device_.slots_[shard];
  Channel::Hold& hold = holds_[shard];
  hold.opening = co_await slot.opening.lock();
  Channel* const channel = slot.channel.get();
  if (channel == nullptr) co_return;
  channel->hold_ = &hold;
  channel->obstacles_ |= Channel::held;
  co_await channel->drain_writes();
}

Task<> CompareAndWrite::release() {
  for (std::size_t shard = 0; shard < holds_.size(); ++shard)
    co_await invoke(ShardId(static_cast<unsigned>(shard)), [this, shard] { let_go(shard); });
  alone_.unlock();
}

void CompareAndWrite::let_go(std::size_t shard) noexcept {
  Channel::Hold& hold = holds_[shard];
  if (Channel* const channel = device_.slots_[shard]->channel.get()) {
    channel->hold_ = nullptr;
    channel->obstacles_ &= static_cast<std::uint8_t>(~Channel::held);
    while (Request* request = hold.kept) {
      hold.kept = request->next;
      channel->resubmit(*request);
    }
  }
  hold.opening.unlock();
}

}  // namespace ashlar

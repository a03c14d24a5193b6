#include "ashlar/block/io.h"

#include "ashlar/block/channel.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

namespace {

/// So many I/Os in a row may complete at once before the task lets others run.
constexpr std::uint16_t inline_credit = 64;

}  // namespace

Io Channel::compare_and_write(Lba lba, Bytes expected, Bytes from, const IoOptions& options) noexcept {
  // Sizes that differ are a request without data, which check() rejects.
  const Segment memory = expected.size() == from.size() ? segment_of(from) : Segment{};
  return {*this, lba, expected.data(), memory, options};
}

bool Channel::may_go_on() noexcept {
  if (inline_credit_-- != 0) return true;
  inline_credit_ = inline_credit;
  return false;
}

/// An I/O that completes inside submit() does not suspend: the task goes on, but not for ever.
bool Io::await_suspend(std::coroutine_handle<> suspended) noexcept {
  arm(suspended);
  submitting_ = true;
  complete = [](Request& done) noexcept {
    auto& self = static_cast<Io&>(done);
    if (self.submitting_) {
      self.submitting_ = false;
    } else {
      self.make_ready();
    }
  };
  channel_.submit(*this);
  if (submitting_) {
    submitting_ = false;
    return true;
  }
  if (channel_.may_go_on()) return false;
  make_ready();
  return true;
}

bool IoBatch::await_suspend(std::coroutine_handle<> suspended) noexcept {
  arm(suspended);
  pending_ = requests_.size() + 1;  // one for ourselves, until all are submitted
  for (Request& request : requests_) {
    request.context = this;
    request.complete = [](Request& done) noexcept {
      auto& self = *static_cast<IoBatch*>(done.context);
      if (--self.pending_ == 0) self.make_ready();
    };
    channel_.submit(request);
  }
  if (--pending_ != 0) return true;
  if (channel_.may_go_on()) return false;
  make_ready();
  return true;
}

Result<> IoBatch::await_resume() const noexcept {
  for (const Request& request : requests_) {
    if (!request.result) return request.result;
  }
  return {};
}

}  // namespace ashlar

#include "ashlar/runtime/ops/file.h"

#include <cassert>
#include <cerrno>

#include "ashlar/runtime/ops/detached_close.h"

namespace ashlar {

File::~File() {
  if (handle_) close_detached(handle_);
}

ChainAwaiter::ChainAwaiter(Handle on, std::span<const FileWrite> steps, bool through, std::uint64_t object)
    : rest_(steps.empty() ? 0 : steps.size() - 1) {
  code = OpCode::write;
  handle = on;
  where_ = "write";
  object_ = object;
  Operation* before = nullptr;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    Operation& step = i == 0 ? static_cast<Operation&>(*this) : rest_[i - 1];
    assert(!steps[i].from.empty());
    step.code = OpCode::write;
    step.handle = on;
    step.data = const_cast<std::byte*>(steps[i].from.data());  // the back end only reads it
    step.length = steps[i].from.size();
    step.offset = steps[i].offset;
    step.durable = through;
    if (before != nullptr) before->then = &step;
    before = &step;
  }
}

Result<> ChainAwaiter::await_resume() const noexcept {
  if (result >= 0) return {};
  std::uint64_t place = offset;
  for (const Operation* step = then; step != nullptr && result != -ECANCELED; step = step->then) {
    if (step->result == result) place = step->offset;
  }
  return fail_errno(static_cast<int>(-result), where_, {object_, place});
}

}  // namespace ashlar

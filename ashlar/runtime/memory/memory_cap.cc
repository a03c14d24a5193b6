#include "ashlar/runtime/memory/memory_cap.h"

#include <cassert>

namespace ashlar {

namespace {

std::uint64_t whole_steps(std::uint64_t bytes) noexcept {
  constexpr std::uint64_t step = MemoryBudget::step_bytes;
  return (bytes + step - 1) / step * step;
}

}  // namespace

const char* to_string(Purpose purpose) noexcept {
  switch (purpose) {
    case Purpose::memtables: return "memtables";
    case Purpose::cache: return "cache";
    case Purpose::tables: return "tables";
    case Purpose::connections: return "connections";
    case Purpose::io_buffers: return "io buffers";
    case Purpose::frames: return "frames";
    case Purpose::other: return "other";
  }
  return "unknown";
}

MemoryCap& MemoryCap::unlimited() noexcept {
  static MemoryCap cap(~std::uint64_t{0});
  return cap;
}

Result<> MemoryCharge::resize(std::uint64_t bytes) noexcept {
  assert(budget_ != nullptr);
  if (bytes > bytes_) {
    if (!budget_->take(purpose_, bytes - bytes_)) return fail(Errc::no_memory, "memory cap");
  } else {
    budget_->give(purpose_, bytes_ - bytes);
  }
  bytes_ = bytes;
  return {};
}

void MemoryCharge::resize_regardless(std::uint64_t bytes) noexcept {
  assert(budget_ != nullptr);
  if (bytes > bytes_) budget_->take_regardless(purpose_, bytes - bytes_);
  if (bytes < bytes_) budget_->give(purpose_, bytes_ - bytes);
  bytes_ = bytes;
}

void MemoryCharge::reset() noexcept {
  if (budget_ != nullptr) std::exchange(budget_, nullptr)->give(purpose_, std::exchange(bytes_, 0));
}

MemoryBudget::~MemoryBudget() {
  assert(used_bytes_ == 0 && "memory is still charged");
  cap_.give_back(borrowed_bytes_);
}

// Near the cap a whole step may be too much where the bytes themselves still fit.
bool MemoryBudget::borrow_for(std::uint64_t bytes) noexcept {
  const std::uint64_t missing = bytes - (borrowed_bytes_ - used_bytes_);
  if (cap_.lent_bytes() + missing > cap_.cap_bytes() - cap_.cap_bytes() / 8) cap_.want();
  if (missing > cap_.cap_bytes()) return false;
  for (const std::uint64_t more : {whole_steps(missing), missing}) {
    if (!cap_.borrow(more)) continue;
    borrowed_bytes_ += more;
    return true;
  }
  return false;
}

bool MemoryBudget::reclaim() noexcept {
  if (!cap_.tight()) {
    cap_.satisfied();
    return false;
  }
  bool more = false;
  for (MemoryReclaimer& reclaimer : reclaimers_) more |= reclaimer.reclaim();
  return more;
}

// Keeps one step, so that a budget that goes up and down by little does not borrow each time.
void MemoryBudget::give_surplus_back() noexcept {
  const std::uint64_t keep = used_bytes_ + step_bytes;
  cap_.give_back(borrowed_bytes_ - keep);
  borrowed_bytes_ = keep;
}

}  // namespace ashlar

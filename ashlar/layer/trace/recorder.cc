#include "ashlar/layer/trace/recorder.h"

#include <fcntl.h>

#include <utility>

#include "ashlar/base/log.h"

namespace ashlar::trace {

Task<Result<>> Recorder::open() {
  memory_ = CO_TRY(Shard::current().buffers().allocate(chunks * chunk_bytes));
  for (; free_count_ < chunks; ++free_count_) free_[free_count_] = free_count_;
  if (!recording_.path.empty()) file_ = CO_TRY(co_await File::open(recording_.path, O_WRONLY));
  co_return Result<>{};
}

void Recorder::record(const Entry& entry) noexcept {
  if (!writer_ && !begin(entry.completed_ns)) {
    ++dropped_;
    Counters::add(counters_.dropped, 1);
    return;
  }
  writer_->add(entry);
  Counters::add(counters_.recorded, 1);
  if (writer_->full()) hand_over();
}

bool Recorder::begin(std::uint64_t base_ns) noexcept {
  if (free_count_ == 0) return false;
  current_ = free_[--free_count_];
  writer_.emplace(memory(current_), base_ns);
  return true;
}

void Recorder::hand_over() noexcept {
  if (!file_) {
    free_[free_count_++] = current_;
    writer_.reset();
    return;
  }
  const std::uint32_t entries = writer_->entries();
  const std::size_t size =
      writer_->finish(recording_.number, Shard::current().id().value, ordinal_++, std::exchange(dropped_, 0));
  writer_.reset();
  const std::uint64_t slot = recording_.next_slot.fetch_add(1, std::memory_order_relaxed);
  writes_.spawn(write(current_, slot, size, entries), Share::background);
}

Task<> Recorder::write(unsigned chunk, std::uint64_t slot, std::size_t size, std::uint32_t entries) {
  const Result<> result = co_await file_.write(memory(chunk).first(size), header_bytes + slot * chunk_bytes);
  if (result) {
    Counters::add(counters_.written, size);
  } else {
    dropped_ += entries;
    Counters::add(counters_.dropped, entries);
    if (!std::exchange(failed_, true)) log::warn("trace {}: {}", recording_.path, result.error());
  }
  free_[free_count_++] = chunk;
}

Task<> Recorder::stop() {
  if (writer_) hand_over();
  co_await writes_.join();
  // What was dropped behind the last chunk is told by one without entries.
  if (file_ && dropped_ != 0 && begin(0)) {
    hand_over();
    co_await writes_.join();
  }
  if (file_) {
    if (const Result<> closed = co_await file_.close(); !closed && !failed_)
      log::warn("trace {}: {}", recording_.path, closed.error());
  }
  memory_.reset();
}

}  // namespace ashlar::trace

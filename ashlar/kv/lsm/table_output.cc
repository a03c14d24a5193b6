#include "ashlar/kv/lsm/table_output.h"

#include <algorithm>

#include "ashlar/kv/lsm/options.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

TableOutput::TableOutput(blob::Store& blobs, const TableOptions& options, std::uint64_t owner, unsigned level,
                         std::uint64_t number, Semaphore* in_flight)
    : blobs_(blobs),
      level_(level),
      number_(number),
      shared_in_flight_(in_flight),
      builder_(options, number, *this, owner),
      charge_(Shard::current().memory().charge_regardless(Purpose::tables, builder_.memory_bytes())) {}

Task<Result<std::unique_ptr<TableOutput>>> TableOutput::create(blob::Store& blobs,
                                                               const TableOptions& options,
                                                               std::uint64_t owner, unsigned level,
                                                               std::uint64_t number, Semaphore* in_flight) {
  std::unique_ptr<TableOutput> output(new TableOutput(blobs, options, owner, level, number, in_flight));
  output->writer_ = CO_TRY(co_await blobs.create_table(number));
  co_return std::move(output);
}

MutableBytes TableOutput::allocate(std::uint64_t offset, std::size_t bytes) {
  if (open_ && open_->memory.size() - open_->used < bytes) {
    full_.push_back(*std::exchange(open_, std::nullopt));
  }
  if (!open_) {
    IoBuffer memory;
    if (bytes <= buffer_bytes && !free_.empty()) {
      memory = std::move(free_.back());
      free_.pop_back();
    } else {
      // A flush frees more than it takes; a compaction has a bounded number of these.
      auto allocated = Shard::current().buffers().allocate_regardless(std::max(bytes, buffer_bytes));
      if (!allocated) return {};
      memory = *std::move(allocated);
    }
    charge_.resize_regardless(builder_.memory_bytes());
    open_.emplace(Buffer{.offset = offset, .used = 0, .memory = std::move(memory)});
  }
  const MutableBytes piece = open_->memory.bytes().subspan(open_->used, bytes);
  open_->used += bytes;
  return piece;
}

Task<Result<>> TableOutput::drain() {
  while (!full_.empty()) {
    SemaphoreUnits units = CO_TRY(co_await in_flight_.acquire());
    Buffer buffer = std::move(full_.front());
    full_.pop_front();
    writes_.spawn(write(std::move(buffer), std::move(units)));
  }
  co_return written_;
}

Task<> TableOutput::write(Buffer buffer, SemaphoreUnits) {
  const Bytes whole = Bytes(buffer.memory.bytes()).first(buffer.used);
  SemaphoreUnits turn;
  if (shared_in_flight_ != nullptr) {
    auto granted =
        co_await shared_in_flight_->acquire(std::min<std::uint64_t>(buffer.used, background_bytes_min));
    if (granted) turn = std::move(*granted);
  }
  if (const auto result = co_await writer_->write(buffer.offset, whole); !result && written_)
    written_ = result;
  if (buffer.memory.size() == buffer_bytes) free_.push_back(std::move(buffer.memory));
}

Task<Result<TableMeta>> TableOutput::finish() {
  Result<> done = builder_.finish();
  if (done) {
    if (open_) full_.push_back(*std::exchange(open_, std::nullopt));
    done = co_await drain();
  }
  co_await writes_.join();
  if (!done) co_return std::unexpected(done.error());
  if (!written_) co_return std::unexpected(written_.error());
  CO_TRY(co_await writer_->publish(builder_.file_bytes()));
  const Properties& properties = builder_.properties();
  co_return TableMeta{.level = level_,
                      .number = number_,
                      .file_bytes = builder_.file_bytes(),
                      .entries = properties.entries,
                      .tombstones = properties.tombstones,
                      .smallest_sequence = properties.sequence_min,
                      .largest_sequence = properties.sequence_max,
                      .smallest_key = std::string(as_text(properties.smallest)),
                      .largest_key = std::string(as_text(properties.largest))};
}

Task<> TableOutput::discard() {
  co_await writes_.join();
  writer_.reset();
  (void)co_await blobs_.remove_table(number_);  // where that fails, the next open removes it
}

}  // namespace ashlar::lsm

#include "ashlar/kv/lsm/blob_output.h"

#include <algorithm>

#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

Task<Result<std::unique_ptr<BlobOutput>>> BlobOutput::create(const JobHome& home, std::uint64_t number) {
  std::unique_ptr<BlobOutput> output(new BlobOutput(home, number));
  output->writer_ = CO_TRY(co_await home.create_table(number));
  co_return std::move(output);
}

Result<IoBuffer> BlobOutput::take(std::size_t bytes) {
  if (bytes <= buffer_bytes && !free_.empty()) {
    IoBuffer memory = std::move(free_.back());
    free_.pop_back();
    return memory;
  }
  // A flush frees more than it takes; a compaction has a bounded number of these.
  return Shard::current().buffers().allocate_regardless(std::max(bytes, buffer_bytes));
}

Task<Result<>> BlobOutput::drain() {
  while (!full_.empty()) {
    SemaphoreUnits units = CO_TRY(co_await in_flight_.acquire());
    Buffer buffer = std::move(full_.front());
    full_.pop_front();
    writes_.spawn(write(std::move(buffer), std::move(units)));
  }
  co_return written_;
}

Task<> BlobOutput::write(Buffer buffer, SemaphoreUnits) {
  const Bytes whole = Bytes(buffer.memory.bytes()).first(buffer.used);
  if (const auto result = co_await home_.write(*writer_, buffer.offset, whole); !result && written_)
    written_ = result;
  if (buffer.memory.size() == buffer_bytes) free_.push_back(std::move(buffer.memory));
}

Task<Result<>> BlobOutput::finish(Result<> so_far, std::uint64_t file_bytes) {
  if (so_far) so_far = co_await drain();
  co_await writes_.join();
  CO_TRY(so_far);
  CO_TRY(written_);
  co_return co_await home_.publish(std::move(writer_), file_bytes);
}

Task<> BlobOutput::discard() {
  co_await writes_.join();
  co_await home_.remove(std::move(writer_), number_);
}

}  // namespace ashlar::lsm

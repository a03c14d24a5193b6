#pragma once

/// What one shard adds to a trace: entries go into memory, and full chunks to the file in the background.

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "ashlar/layer/trace/trace_format.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::trace {

/// What the shards of a trace share.
struct Recording {
  std::string path;  ///< empty: requests are counted and nothing is written
  std::uint64_t number = 0;
  Instant began;
  std::atomic<std::uint64_t> next_slot{0};  ///< one step for each chunk
};

/// Of one shard; that shard writes, any may read.
struct alignas(64) Counters {
  std::atomic<std::uint64_t> recorded{0};  ///< entries in a chunk
  std::atomic<std::uint64_t> dropped{0};   ///< no memory was free, or their chunk could not be written
  std::atomic<std::uint64_t> written{0};   ///< bytes in the file

  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t by) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
};

/// Owner: one shard. Bounded memory: where the file is slower than the requests, entries are dropped and
/// counted; nobody waits. Lifecycle: open(), record(), stop(), which is awaited.
class Recorder {
 public:
  static constexpr std::size_t chunks = 4;

  Recorder(Recording& recording, Counters& counters) noexcept : recording_(recording), counters_(counters) {}

  Task<Result<>> open();
  void record(const Entry& entry) noexcept;
  /// Writes what there is, and closes the file.
  Task<> stop();

 private:
  MutableBytes memory(unsigned chunk) const noexcept {
    return memory_.bytes().subspan(chunk * chunk_bytes, chunk_bytes);
  }
  bool begin(std::uint64_t base_ns) noexcept;
  void hand_over() noexcept;
  Task<> write(unsigned chunk, std::uint64_t slot, std::size_t size, std::uint32_t entries);

  Recording& recording_;
  Counters& counters_;
  File file_;
  IoBuffer memory_;
  std::array<unsigned, chunks> free_{};
  unsigned free_count_ = 0;
  unsigned current_ = 0;
  std::optional<ChunkWriter> writer_;  // of the current chunk
  std::uint32_t ordinal_ = 0;
  std::uint64_t dropped_ = 0;  // since the last chunk
  bool failed_ = false;
  TaskScope writes_{nullptr};
};

}  // namespace ashlar::trace

#pragma once

/// One run as the input of a job: read from the device in large pieces, several ahead, past the block cache.

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "ashlar/kv/lsm/job_home.h"
#include "ashlar/kv/lsm/table/block.h"
#include "ashlar/kv/lsm/table_file.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/sync/condition.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::lsm {

/// How much of its inputs a job holds in memory.
struct InputWindow {
  std::size_t piece_bytes = 256u << 10;  ///< of one read; a larger block has one to itself
  std::size_t pieces = 3;                ///< of a run: one being merged, the others on their way
};

/// Stored keys from `first` on, and below `end`. Views.
struct KeySpan {
  Bytes first;
  std::optional<Bytes> end;  ///< nothing: all that follow
};

/// Forward, once. One task, on any shard; tables, home and span outlive it. Lifecycle: start(), then next()
/// to the end or wherever the job ends; close() is awaited before it is destroyed. Its memory is charged,
/// whatever the cap says.
class RunInput {
 public:
  enum class State : std::uint8_t { end, entry, need_piece };

  /// Of the run that `tables` are, what is inside of the span; each has keys there.
  RunInput(std::vector<TableFile*> tables, const JobHome& home, const InputWindow& window,
           const KeySpan& span = {});

  /// Sends the first reads.
  void start() { read_ahead(); }
  State state() const noexcept { return state_; }
  /// In state entry: valid until the next call of next().
  const Entry& entry() const noexcept { return entry_; }
  /// Of the block that it is in.
  ErrorPlace place() const noexcept;
  State next();
  /// In state need_piece: waits for it. `corrupt` with table and offset, errors of the device, `cancelled`.
  Task<Result<>> fetch();
  Task<> close() { co_await reads_.join(); }

 private:
  /// Consecutive blocks of one table.
  struct Piece {
    std::size_t table;
    std::uint32_t first_block, end_block;
    std::uint64_t offset;
    IoBuffer memory;
    std::optional<Result<>> read;
  };

  std::uint32_t blocks_end(std::size_t table) const noexcept;
  void read_ahead();
  std::size_t plan(Piece& piece) noexcept;
  Task<> read(Piece* piece, std::size_t bytes);
  State enter_piece();
  bool skip();
  State open_block(std::uint32_t ordinal);
  Result<> decode_block();
  State show(std::uint32_t ordinal);

  std::vector<TableFile*> tables_;
  const JobHome& home_;
  InputWindow window_;
  KeySpan span_;
  std::uint32_t last_blocks_ = ~0u;  // of the last table: those from here on may have keys beyond the span
  std::deque<std::unique_ptr<Piece>> pieces_;  // in order; the first one is being merged
  std::vector<IoBuffer> free_;
  std::size_t planned_table_ = 0;
  std::uint32_t planned_block_ = 0;
  bool begun_ = false;  // with the span's first entry
  Result<> status_;
  Condition arrived_;
  TaskScope reads_{nullptr};

  State state_ = State::need_piece;
  std::uint32_t block_ordinal_ = 0;  // of the first piece's table
  Block block_;
  std::vector<std::byte> raw_;  // the block, where it was compressed
  std::uint32_t ordinal_ = 0;
  KeyBuffer key_buffer_;
  Entry entry_;
};

}  // namespace ashlar::lsm

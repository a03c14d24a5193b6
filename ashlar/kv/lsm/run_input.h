#pragma once

/// One run as the input of a job: read from the device in large pieces, several ahead, past the block cache.

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "ashlar/kv/lsm/table/block.h"
#include "ashlar/kv/lsm/table_file.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/sync/condition.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/semaphore.h"

namespace ashlar::lsm {

/// How much of its inputs a job holds in memory, and of background I/O there is at once.
struct InputWindow {
  std::size_t piece_bytes = 256u << 10;  ///< of one read; a larger block has one to itself
  std::size_t pieces = 3;                ///< of a run: one being merged, the others on their way
  Semaphore* in_flight = nullptr;        ///< bytes that jobs may have with the device; null: any number
};

/// Forward, once. Owner shard, one task; the tables outlive it. Lifecycle: start(), then next() to the end or
/// wherever the job ends; close() is awaited before it is destroyed. Its memory is charged, whatever the cap
/// says.
class RunInput {
 public:
  enum class State : std::uint8_t { end, entry, need_piece };

  RunInput(std::vector<TableFile*> tables, const InputWindow& window);

  /// Sends the first reads.
  void start() { read_ahead(); }
  State state() const noexcept { return state_; }
  /// In state entry: valid until the next call of next().
  const Entry& entry() const noexcept { return entry_; }
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

  void read_ahead();
  std::size_t plan(Piece& piece) noexcept;
  Task<> read(Piece* piece, std::size_t bytes);
  State enter_piece();
  State open_block(std::uint32_t ordinal);
  Result<> decode_block();
  State show(std::uint32_t ordinal);

  std::vector<TableFile*> tables_;
  InputWindow window_;
  std::deque<std::unique_ptr<Piece>> pieces_;  // in order; the first one is being merged
  std::vector<IoBuffer> free_;
  std::size_t planned_table_ = 0;
  std::uint32_t planned_block_ = 0;
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

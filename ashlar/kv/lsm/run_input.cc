/// Blocks of a table follow each other without gaps, so a piece is one read. A piece that was merged gives
/// its memory to the next read: the device is never idle while there is more.

#include "ashlar/kv/lsm/run_input.h"

#include <algorithm>

#include "ashlar/kv/lsm/table/frame.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {

RunInput::RunInput(std::vector<TableFile*> tables, const JobHome& home, const InputWindow& window,
                   const KeySpan& span)
    : tables_(std::move(tables)), home_(home), window_(window), span_(span) {
  const TableFile &first = *tables_.front(), &last = *tables_.back();
  if (compare(first.smallest_key(), span_.first) < 0)
    planned_block_ = first.table().blocks_near(span_.first).first;
  if (span_.end && compare(last.largest_key(), *span_.end) >= 0)
    last_blocks_ = last.table().blocks_near(*span_.end).first;
}

/// The first block of a table that is not read.
std::uint32_t RunInput::blocks_end(std::size_t table) const noexcept {
  const Table& of = tables_[table]->table();
  const bool cut = last_blocks_ != ~0u && table + 1 == tables_.size();
  return cut ? of.blocks_near(*span_.end).second + 1 : of.block_count();
}

/// The blocks of the next piece; returns its bytes, 0 where there is nothing left.
std::size_t RunInput::plan(Piece& piece) noexcept {
  if (planned_table_ == tables_.size()) return 0;
  const Table& table = tables_[planned_table_]->table();
  const std::uint32_t end_block = blocks_end(planned_table_);
  piece.table = planned_table_;
  piece.first_block = planned_block_;
  piece.offset = table.block(planned_block_).offset;
  std::uint64_t end = piece.offset;
  while (planned_block_ < end_block) {
    const BlockHandle block = table.block(planned_block_);
    if (planned_block_ != piece.first_block &&
        block.offset + block.bytes - piece.offset > window_.piece_bytes)
      break;
    end = block.offset + block.bytes;
    ++planned_block_;
  }
  piece.end_block = planned_block_;
  if (planned_block_ == end_block) {
    ++planned_table_;
    planned_block_ = 0;
  }
  return end - piece.offset;
}

void RunInput::read_ahead() {
  while (pieces_.size() < window_.pieces && status_) {
    auto piece = std::make_unique<Piece>();
    const std::size_t bytes = plan(*piece);
    if (bytes == 0) return;
    if (bytes <= window_.piece_bytes && !free_.empty()) {
      piece->memory = std::move(free_.back());
      free_.pop_back();
    } else {
      auto memory = Shard::current().buffers().allocate_regardless(std::max(bytes, window_.piece_bytes));
      if (!memory) {
        status_ = std::unexpected(memory.error());
        return;
      }
      piece->memory = *std::move(memory);
    }
    reads_.spawn(read(piece.get(), bytes));
    pieces_.push_back(std::move(piece));
  }
}

Task<> RunInput::read(Piece* piece, std::size_t bytes) {
  piece->read =
      co_await home_.read(*tables_[piece->table], piece->offset, piece->memory.bytes().first(bytes));
  arrived_.notify_all();
}

Task<Result<>> RunInput::fetch() {
  do {
    CO_TRY(status_);
    while (!pieces_.front()->read) CO_TRY(co_await arrived_.wait());
    enter_piece();
    CO_TRY(status_);
    if (!begun_ && Shard::current().should_yield()) co_await yield();
  } while (!begun_ && !skip());
  co_return Result<>{};
}

/// Over what stands before the span; false where the next piece is needed first.
bool RunInput::skip() {
  while (state_ == State::entry && compare(entry_.key, span_.first) < 0) next();
  begun_ = state_ != State::need_piece;
  return begun_;
}

/// To the first entry of the piece in front, if it is there.
RunInput::State RunInput::enter_piece() {
  if (pieces_.empty()) return state_ = status_ ? State::end : State::need_piece;
  const Piece& piece = *pieces_.front();
  if (!piece.read) return state_ = State::need_piece;
  if (!*piece.read) {
    status_ = *piece.read;
    return state_ = State::need_piece;
  }
  return open_block(piece.first_block);
}

RunInput::State RunInput::open_block(std::uint32_t ordinal) {
  block_ordinal_ = ordinal;
  status_ = decode_block();
  return status_ ? show(0) : state_ = State::need_piece;
}

ErrorPlace RunInput::place() const noexcept {
  const Table& table = tables_[pieces_.front()->table]->table();
  return {.object = table.number(), .offset = table.block(block_ordinal_).offset};
}

/// Checks and decodes the block the merge has come to.
Result<> RunInput::decode_block() {
  const Piece& piece = *pieces_.front();
  const Table& table = tables_[piece.table]->table();
  const BlockHandle handle = table.block(block_ordinal_);
  const ErrorPlace place = this->place();
  const Bytes bytes = Bytes(piece.memory.bytes()).subspan(handle.offset - piece.offset, handle.bytes);
  const Frame frame = TRY(open_frame(bytes, FrameType::data, place));
  Bytes payload = frame.stored;
  if (frame.compression != Compression::none) {
    raw_.resize(frame.raw_bytes);
    TRY(decompress(frame, raw_, place));
    payload = raw_;
  }
  block_ = TRY(Block::parse(payload, place, table.sequence_shift()));
  key_buffer_.reset();
  return {};
}

RunInput::State RunInput::show(std::uint32_t ordinal) {
  ordinal_ = ordinal;
  entry_ = block_.entry(ordinal, key_buffer_);
  const bool may_be_beyond = block_ordinal_ >= last_blocks_ && pieces_.front()->table + 1 == tables_.size();
  if (may_be_beyond && compare(entry_.key, *span_.end) >= 0) [[unlikely]]
    return state_ = State::end;
  return state_ = State::entry;
}

RunInput::State RunInput::next() {
  if (ordinal_ + 1 < block_.count()) return show(ordinal_ + 1);
  Piece& piece = *pieces_.front();
  if (block_ordinal_ + 1 < piece.end_block) return open_block(block_ordinal_ + 1);
  if (piece.memory.size() == window_.piece_bytes) free_.push_back(std::move(piece.memory));
  pieces_.pop_front();
  read_ahead();
  return enter_piece();
}

}  // namespace ashlar::lsm

/// Blocks of a table follow each other without gaps, so a piece is one read. A piece that was merged gives
/// its memory to the next read: the device is never idle while there is more.

#include "ashlar/kv/lsm/run_input.h"

#include <algorithm>

#include "ashlar/kv/lsm/options.h"
#include "ashlar/kv/lsm/table/frame.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

RunInput::RunInput(std::vector<TableFile*> tables, const InputWindow& window)
    : tables_(std::move(tables)), window_(window) {}

/// The blocks of the next piece; returns its bytes, 0 where there is nothing left.
std::size_t RunInput::plan(Piece& piece) noexcept {
  if (planned_table_ == tables_.size()) return 0;
  const Table& table = tables_[planned_table_]->table();
  piece.table = planned_table_;
  piece.first_block = planned_block_;
  piece.offset = table.block(planned_block_).offset;
  std::uint64_t end = piece.offset;
  while (planned_block_ < table.block_count()) {
    const BlockHandle block = table.block(planned_block_);
    if (planned_block_ != piece.first_block &&
        block.offset + block.bytes - piece.offset > window_.piece_bytes)
      break;
    end = block.offset + block.bytes;
    ++planned_block_;
  }
  piece.end_block = planned_block_;
  if (planned_block_ == table.block_count()) {
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
  SemaphoreUnits turn;
  if (window_.in_flight != nullptr) {
    auto granted = co_await window_.in_flight->acquire(std::min<std::uint64_t>(bytes, background_bytes_min));
    if (granted) turn = std::move(*granted);
  }
  piece->read = co_await tables_[piece->table]->read(piece->offset, piece->memory.bytes().first(bytes));
  arrived_.notify_all();
}

Task<Result<>> RunInput::fetch() {
  CO_TRY(status_);
  while (!pieces_.front()->read) CO_TRY(co_await arrived_.wait());
  enter_piece();
  co_return status_;
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

/// Checks and decodes the block the merge has come to.
Result<> RunInput::decode_block() {
  const Piece& piece = *pieces_.front();
  const Table& table = tables_[piece.table]->table();
  const BlockHandle handle = table.block(block_ordinal_);
  const ErrorPlace place{table.number(), handle.offset};
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

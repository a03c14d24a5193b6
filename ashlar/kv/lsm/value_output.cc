#include "ashlar/kv/lsm/value_output.h"

#include <algorithm>
#include <cstring>

#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

Task<Result<std::unique_ptr<ValueOutput>>> ValueOutput::create(const JobHome& home,
                                                               const TableOptions& options,
                                                               std::uint64_t owner, std::uint64_t number) {
  auto blob = CO_TRY(co_await BlobOutput::create(home, number));
  co_return std::unique_ptr<ValueOutput>(new ValueOutput(std::move(blob), options, owner));
}

/// Room for a frame in one piece: where the open buffer has none, its whole pages are written, and what is
/// behind them begins the next.
Result<> ValueOutput::make_room(std::size_t bytes) {
  if (open_ && open_->memory.size() - open_->used >= bytes) return {};
  const std::uint64_t from = blob::align_down(end_);
  const std::size_t tail = end_ - from;
  IoBuffer memory = TRY(blob_->take(blob::align_up(tail + bytes)));
  if (open_) {
    if (tail != 0) std::memcpy(memory.data(), open_->memory.data() + (open_->used - tail), tail);
    open_->used -= tail;
    if (open_->used != 0) blob_->push(*std::exchange(open_, std::nullopt));
  }
  open_.emplace(BlobOutput::Buffer{.offset = from, .used = tail, .memory = std::move(memory)});
  return {};
}

Result<ValueRef> ValueOutput::add(Bytes value) {
  const ErrorPlace place{blob_->number(), end_};
  const std::size_t most = round_up(frame_header_bytes + value.size(), value_align);
  if (end_ + most > value_table_bytes_max - 2 * page_bytes)
    return fail(Errc::too_large, "value table", place);
  TRY(make_room(most));
  const MutableBytes to = open_->memory.bytes().subspan(open_->used, most);
  const std::size_t bytes = write_value(value, compressor_, to, place);
  const ValueRef ref{.table = blob_->number(),
                     .offset = end_,
                     .bytes = static_cast<std::uint32_t>(bytes),
                     .size = static_cast<std::uint32_t>(value.size())};
  std::ranges::fill(to.subspan(bytes, ref.footprint() - bytes), std::byte{0});
  open_->used += ref.footprint();
  end_ += ref.footprint();
  ++values_;
  return ref;
}

/// Zeroes up to the next page, and the footer.
Result<> ValueOutput::end() {
  const std::size_t padding = blob::align_up(end_) - end_;
  TRY(make_room(padding + page_bytes));
  const MutableBytes to = open_->memory.bytes().subspan(open_->used, padding + page_bytes);
  std::ranges::fill(to.first(padding), std::byte{0});
  const ValueFooter footer{.number = blob_->number(), .owner = owner_, .data_end = end_, .values = values_};
  footer.encode(to.last<page_bytes>());
  open_->used += to.size();
  blob_->push(*std::exchange(open_, std::nullopt));
  return {};
}

Task<Result<ValueTableMeta>> ValueOutput::finish() {
  const Result<> ended = end();
  CO_TRY(co_await blob_->finish(ended, ValueFooter::file_bytes(end_)));
  co_return ValueTableMeta{.number = blob_->number(), .data_bytes = end_};
}

}  // namespace ashlar::lsm

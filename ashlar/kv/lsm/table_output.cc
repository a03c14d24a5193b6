#include "ashlar/kv/lsm/table_output.h"

#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {

namespace {

constexpr std::size_t filter_keys_at_once = 512;  // some 50 µs

}  // namespace

TableOutput::TableOutput(std::unique_ptr<BlobOutput> blob, const TableOptions& options, std::uint64_t owner,
                         unsigned level)
    : blob_(std::move(blob)),
      level_(level),
      builder_(options, blob_->number(), *this, owner),
      charge_(Shard::current().memory().charge_regardless(Purpose::tables, builder_.memory_bytes())) {}

Task<Result<std::unique_ptr<TableOutput>>> TableOutput::create(const JobHome& home,
                                                               const TableOptions& options,
                                                               std::uint64_t owner, unsigned level,
                                                               std::uint64_t number) {
  auto blob = CO_TRY(co_await BlobOutput::create(home, number));
  co_return std::unique_ptr<TableOutput>(new TableOutput(std::move(blob), options, owner, level));
}

MutableBytes TableOutput::allocate(std::uint64_t offset, std::size_t bytes) {
  if (open_ && open_->memory.size() - open_->used < bytes) blob_->push(*std::exchange(open_, std::nullopt));
  if (!open_) {
    auto memory = blob_->take(bytes);
    if (!memory) return {};
    charge_.resize_regardless(builder_.memory_bytes());
    open_.emplace(BlobOutput::Buffer{.offset = offset, .used = 0, .memory = *std::move(memory)});
  }
  const MutableBytes piece = open_->memory.bytes().subspan(open_->used, bytes);
  open_->used += bytes;
  return piece;
}

Task<Result<TableMeta>> TableOutput::finish() {
  while (builder_.build_filter(filter_keys_at_once)) {
    charge_.resize_regardless(builder_.memory_bytes());
    if (Shard::current().should_yield()) co_await yield();
  }
  const Result<> built = builder_.finish();
  if (built && open_) blob_->push(*std::exchange(open_, std::nullopt));
  CO_TRY(co_await blob_->finish(built, builder_.file_bytes()));
  const Properties& properties = builder_.properties();
  co_return TableMeta{.level = level_,
                      .number = number(),
                      .file_bytes = builder_.file_bytes(),
                      .entries = properties.entries,
                      .tombstones = properties.tombstones,
                      .smallest_sequence = properties.sequence_min,
                      .largest_sequence = properties.sequence_max,
                      .smallest_key = std::string(as_text(properties.smallest)),
                      .largest_key = std::string(as_text(properties.largest))};
}

Task<> TableOutput::discard() {
  co_await blob_->discard();
}

}  // namespace ashlar::lsm

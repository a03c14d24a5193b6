#include "ashlar/kv/lsm/table_file.h"

#include <array>
#include <optional>

#include "ashlar/kv/lsm/table/footer.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

namespace {

bool has_sequences(const TableMeta& meta, const Properties& properties) noexcept {
  if (meta.ingested) return properties.sequence_min == properties.sequence_max;
  return properties.sequence_min == meta.smallest_sequence &&
         properties.sequence_max == meta.largest_sequence;
}

/// Whether the table is the one that the manifest means.
bool same_table(const TableMeta& meta, const Properties& properties) noexcept {
  return properties.entries == meta.entries && properties.tombstones == meta.tombstones &&
         has_sequences(meta, properties) && as_text(properties.smallest) == meta.smallest_key &&
         as_text(properties.largest) == meta.largest_key;
}

}  // namespace

Task<Result<TableFile*>> TableFile::open(blob::Store& blobs, std::uint64_t partition, TableMeta meta,
                                         BlockCache& cache, TableOwner& owner) {
  struct Deleter {
    void operator()(TableFile* file) const noexcept { delete file; }
  };
  std::unique_ptr<TableFile, Deleter> file(new TableFile(std::move(meta), owner));
  const std::uint64_t number = file->meta_.number, file_bytes = file->meta_.file_bytes;
  file->blob_ = CO_TRY(co_await blobs.open_table(number));
  if (file->blob_->bytes() != file_bytes || file_bytes < page_bytes) {
    co_return fail(Errc::corrupt, "table size", {.object = number, .offset = file->blob_->bytes()});
  }
  Shard& shard = Shard::current();
  const IoBuffer page = CO_TRY(shard.buffers().allocate_regardless(page_bytes));
  CO_TRY(co_await file->blob_->read(file_bytes - page_bytes, page.bytes()));
  const Footer footer = CO_TRY(Footer::decode(page.bytes(), number, file_bytes, partition));

  const std::uint64_t bytes = footer.offset - footer.meta;
  file->memory_ = CO_TRY(shard.buffers().allocate_regardless(blob::align_up(bytes), Purpose::tables));
  CO_TRY(co_await file->blob_->read(footer.meta, file->memory_.bytes()));
  file->table_ = CO_TRY(Table::open(footer, Bytes(file->memory_.bytes()).first(bytes)));
  if (!same_table(file->meta_, file->table_.properties())) {
    co_return fail(Errc::corrupt, "table is not what the manifest says",
                   {.object = number, .offset = footer.properties.offset});
  }
  if (file->meta_.ingested) file->table_.set_sequence(file->meta_.smallest_sequence);
  file->charge_ = shard.memory().charge_regardless(
      Purpose::tables, CachedBlocks::bytes(file->table_) + file->table_.memory_bytes() + sizeof(TableFile));
  file->cached_ = std::make_unique<CachedBlocks>(cache, file->table_);
  co_return file.release();
}

TableFile* TableFile::describe(TableMeta meta, Properties properties, TableOwner& owner) {
  auto* file = new TableFile(std::move(meta), owner);
  file->table_ = Table(std::move(properties));
  return file;
}

Task<Result<LoadedBlock>> TableFile::load(std::uint32_t ordinal, bool keep) {
  while (BlockFill* other = cached_->filling(ordinal)) {  // one read, however many miss the block
    LoadedBlock loaded = CO_TRY(co_await other->follow());
    if (loaded) co_return loaded;
  }
  BlockFill fill(*cached_, ordinal, keep);
  co_return fill.finish(co_await blob_->read(fill.handle().offset, fill.memory()));
}

Task<> TableFile::load_together(std::uint32_t first, std::span<Result<LoadedBlock>> outcomes, bool keep) {
  std::array<std::optional<BlockFill>, blob::table_parts_max> fills;
  std::array<MutableBytes, blob::table_parts_max> parts;
  std::uint32_t count = 0;
  for (std::uint64_t end = table_.block(first).offset; count < outcomes.size(); ++count) {
    if (table_.block(first + count).offset != end || cached_->filling(first + count) != nullptr) break;
    BlockFill& fill = fills[count].emplace(*cached_, first + count, keep);
    parts[count] = fill.memory();
    end += fill.handle().bytes;
  }
  if (count != 0) {
    const Result<> read =
        co_await blob_->read_parts(fills[0]->handle().offset, std::span(parts).first(count));
    for (std::uint32_t i = 0; i < count; ++i) outcomes[i] = fills[i]->finish(read);
  }
  for (; count < outcomes.size(); ++count) outcomes[count] = co_await load(first + count, keep);
}

void OwnedFile::released() noexcept {
  const std::uint64_t number = number_;
  TableOwner& owner = owner_;
  const bool remove = obsolete_;
  delete this;  // closes the file first
  if (remove) owner.remove_later(number);
}

}  // namespace ashlar::lsm

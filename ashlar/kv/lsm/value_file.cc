#include "ashlar/kv/lsm/value_file.h"

#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

namespace {

/// Pages as they were read, or a value that was decompressed. Goes with its last pin.
class ValueMemory final : public kv::Pinnable {
 public:
  explicit ValueMemory(IoBuffer buffer) noexcept : memory(std::move(buffer)) {}
  IoBuffer memory;

 private:
  void released() noexcept override { delete this; }
};

/// What a reader was promised is served: beyond the cap, if need be.
Result<IoBuffer> memory_for(std::size_t bytes) {
  return Shard::current().buffers().allocate_regardless(bytes, Purpose::cache);
}

}  // namespace

Task<Result<LoadedValue>> read_value(blob::Table& blob, ValueRef ref) {
  if (ref.read_from() + ref.read_bytes() > blob.bytes())
    co_return fail(Errc::corrupt, "value: table ends before it", ref.place());
  IoBuffer blocks = CO_TRY(memory_for(ref.read_bytes()));
  const MutableBytes into = blocks.bytes().first(ref.read_bytes());
  CO_TRY(co_await blob.read(ref.read_from(), into));
  const Frame frame = CO_TRY(open_value(into, ref));
  LoadedValue loaded{.bytes = frame.stored, .pin = {}};
  if (frame.compression != Compression::none) {
    IoBuffer raw = CO_TRY(memory_for(ref.size));
    const MutableBytes value = raw.bytes().first(ref.size);
    CO_TRY(decompress(frame, value, ref.place()));
    loaded.bytes = value;
    blocks = std::move(raw);
  }
  loaded.pin = kv::Pin(*new ValueMemory(std::move(blocks)));
  co_return std::move(loaded);
}

Task<Result<ValueFile*>> ValueFile::open(blob::Store& blobs, std::uint64_t partition, ValueTableMeta meta,
                                         BlockCache& cache, TableOwner& owner) {
  struct Deleter {
    void operator()(ValueFile* file) const noexcept { delete file; }
  };
  std::unique_ptr<ValueFile, Deleter> file(new ValueFile(meta, owner));
  file->blob_ = CO_TRY(co_await blobs.open_table(meta.number));
  const std::uint64_t bytes = file->blob_->bytes();
  if (bytes != ValueFooter::file_bytes(meta.data_bytes))
    co_return fail(Errc::corrupt, "value table size", {.object = meta.number, .offset = bytes});
  const IoBuffer page = CO_TRY(Shard::current().buffers().allocate_regardless(page_bytes));
  CO_TRY(co_await file->blob_->read(bytes - page_bytes, page.bytes()));
  const ValueFooter footer = CO_TRY(ValueFooter::decode(page.bytes(), meta.number, bytes, partition));
  if (footer.data_end != meta.data_bytes) {
    co_return fail(Errc::corrupt, "value table is not what the manifest says",
                   {.object = meta.number, .offset = bytes - page_bytes});
  }
  file->cached_ = std::make_unique<CachedValues>(cache, meta.number);
  co_return file.release();
}

LoadedValue ValueFile::find(const ValueRef& ref) const noexcept {
  CachedBlock* const cached = cached_->find(ref.place_number());
  if (cached == nullptr) return {};
  return {.bytes = cached->value(), .pin = kv::Pin(*cached)};
}

Task<Result<LoadedValue>> ValueFile::load(ValueRef ref, bool keep) {
  LoadedValue loaded = CO_TRY(co_await read_value(*blob_, ref));
  if (keep) cached_->put(ref.place_number(), loaded.bytes);
  co_return std::move(loaded);
}

ValueFile* ValueFile::describe(ValueTableMeta meta, TableOwner& owner) {
  return new ValueFile(meta, owner);
}

}  // namespace ashlar::lsm

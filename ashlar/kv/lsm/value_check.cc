#include "ashlar/kv/lsm/value_check.h"

#include <algorithm>
#include <memory>

#include "ashlar/base/endian.h"
#include "ashlar/base/zero.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint64_t window_bytes = 1u << 20;  // read at once

class ValueCheck {
 public:
  ValueCheck(blob::Table& blob, std::uint64_t partition, std::uint64_t number) noexcept
      : blob_(blob), partition_(partition), number_(number) {}

  Task<Result<ValueTableMeta>> run(CheckProgress* progress);

 private:
  Task<Result<>> read_footer();
  Task<Result<Bytes>> view(std::uint64_t at, std::uint64_t bytes);
  Task<Result<std::uint64_t>> check_frame(std::uint64_t at);
  std::unexpected<Error> corrupt(const char* what, std::uint64_t at) const {
    return fail(Errc::corrupt, what, {.object = number_, .offset = at});
  }

  blob::Table& blob_;
  std::uint64_t partition_, number_;
  ValueFooter footer_;
  IoBuffer window_;
  std::uint64_t from_ = 0, end_ = 0;  // of the file, what the window holds
  std::vector<std::byte> raw_;
};

Task<Result<>> ValueCheck::read_footer() {
  const std::uint64_t bytes = blob_.bytes();
  if (bytes < page_bytes || bytes % page_bytes != 0) co_return corrupt("value table size", bytes);
  const IoBuffer page = CO_TRY(Shard::current().buffers().allocate_regardless(page_bytes));
  CO_TRY(co_await blob_.read(bytes - page_bytes, page.bytes()));
  footer_ = CO_TRY(ValueFooter::decode(page.bytes(), number_, bytes, partition_));
  const auto payload = load_le<std::uint32_t>(page.data() + 8);
  if (!all_zero(Bytes(page.bytes()).subspan(frame_header_bytes + payload)))
    co_return corrupt("value table footer: padding", bytes - page_bytes);
  co_return Result<>{};
}

/// Those bytes of the file, which are before its footer.
Task<Result<Bytes>> ValueCheck::view(std::uint64_t at, std::uint64_t bytes) {
  if (at < from_ || at + bytes > end_) {
    const std::uint64_t data_pages = blob_.bytes() - page_bytes;
    from_ = blob::align_down(at);
    end_ = std::min(data_pages, from_ + std::max(window_bytes, blob::align_up(at + bytes) - from_));
    if (window_.size() < end_ - from_)
      window_ = CO_TRY(Shard::current().buffers().allocate_regardless(std::max(end_ - from_, window_bytes)));
    CO_TRY(co_await blob_.read(from_, window_.bytes().first(end_ - from_)));
  }
  co_return Bytes(window_.bytes()).subspan(at - from_, bytes);
}

/// Where the next one begins.
Task<Result<std::uint64_t>> ValueCheck::check_frame(std::uint64_t at) {
  if (footer_.data_end - at < 2 * value_align) co_return corrupt("value table: no frame", at);
  const Bytes header = CO_TRY(co_await view(at, frame_header_bytes));
  const std::uint64_t stored = load_le<std::uint32_t>(header.data() + 8);
  const std::uint64_t size = load_le<std::uint32_t>(header.data() + 12);
  const std::uint64_t bytes = frame_header_bytes + stored;
  if (stored == 0 || size == 0 || size > kv::value_bytes_max || bytes > data_frame_bytes_max ||
      round_up(bytes, value_align) > footer_.data_end - at)
    co_return corrupt("value table: size of a frame", at);
  const ValueRef ref{.table = number_,
                     .offset = at,
                     .bytes = static_cast<std::uint32_t>(bytes),
                     .size = static_cast<std::uint32_t>(size)};
  const Bytes blocks = CO_TRY(co_await view(ref.read_from(), ref.read_bytes()));
  const Frame frame = CO_TRY(open_value(blocks, ref));
  if (frame.compression != Compression::none) {
    raw_.resize(size);
    CO_TRY(decompress(frame, raw_, ref.place()));
  }
  const Bytes behind = blocks.subspan(at - ref.read_from() + bytes, ref.footprint() - bytes);
  if (!all_zero(behind)) co_return corrupt("value table: padding", at + bytes);
  co_return at + ref.footprint();
}

Task<Result<ValueTableMeta>> ValueCheck::run(CheckProgress* progress) {
  CO_TRY(co_await read_footer());
  std::uint64_t at = 0, values = 0;
  while (at < footer_.data_end) {
    const std::uint64_t next = CO_TRY(co_await check_frame(at));
    if (progress != nullptr) progress->bytes.fetch_add(next - at, std::memory_order_relaxed);
    at = next;
    ++values;
    if (Shard::current().should_yield()) co_await yield();
  }
  if (values != footer_.values) co_return corrupt("value table: number of values", at);
  const std::uint64_t padding = blob::align_up(at) - at;
  if (padding != 0 && !all_zero(CO_TRY(co_await view(at, padding))))
    co_return corrupt("value table: padding", at);
  co_return ValueTableMeta{.number = number_, .data_bytes = at};
}

}  // namespace

Task<Result<ValueTableMeta>> check_value_table(blob::Store& blobs, std::uint64_t partition,
                                               std::uint64_t number, CheckProgress* progress) {
  const auto blob = CO_TRY(co_await blobs.open_table(number));
  const auto check = std::make_unique<ValueCheck>(*blob, partition, number);
  auto meta = co_await check->run(progress);
  if (progress != nullptr) progress->tables.fetch_add(1, std::memory_order_relaxed);
  co_return meta;
}

Task<bool> is_value_table(blob::Store& blobs, std::uint64_t number) {
  const auto blob = co_await blobs.open_table(number);
  if (!blob || (*blob)->bytes() < page_bytes || !blob::aligned((*blob)->bytes())) co_return false;
  const auto page = Shard::current().buffers().allocate_regardless(page_bytes);
  if (!page || !co_await (*blob)->read((*blob)->bytes() - page_bytes, page->bytes())) co_return false;
  co_return ValueFooter::looks_like(page->bytes());
}

Result<> check_reference(const ValueRef& ref, const ValueTableMeta* table, ErrorPlace place) noexcept {
  if (table == nullptr) return fail(Errc::corrupt, "reference to no value table", place);
  if (ref.end() > table->data_bytes) return fail(Errc::corrupt, "reference beyond a value table", place);
  return {};
}

Result<> ReferenceCheck::on_entry(const Entry& entry, ErrorPlace place) {
  if (entry.kind != Kind::separated) return {};
  const ValueRef ref = ValueRef::trusted(entry.value);
  const auto found = state_.values.find(ref.table);
  return check_reference(ref, found != state_.values.end() ? &found->second : nullptr, place);
}

}  // namespace ashlar::lsm

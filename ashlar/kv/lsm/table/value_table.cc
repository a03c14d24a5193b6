#include "ashlar/kv/lsm/table/value_table.h"

#include <algorithm>

#include "ashlar/base/endian.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint64_t magic = 0x4c4156726c687361;  // "ashlrVAL"
constexpr std::uint32_t version = 1;
constexpr std::size_t footer_payload_bytes = 48;

}  // namespace

std::byte* ValueRef::encode(std::byte* to) const noexcept {
  to = store_varint(to, table);
  to = store_varint(to, offset / value_align);
  to = store_varint(to, bytes);
  return store_varint(to, size);
}

Result<ValueRef> ValueRef::decode(Bytes encoded, ErrorPlace place) noexcept {
  std::uint64_t fields[4];
  const std::byte* at = encoded.data();
  const std::byte* const end = at + encoded.size();
  for (std::uint64_t& field : fields) {
    if (at != nullptr) at = at == end ? nullptr : load_varint(at, end, field);
  }
  const bool ok = at == end && at != nullptr && fields[1] <= ~std::uint32_t{0} &&
                  fields[2] > frame_header_bytes && fields[2] <= data_frame_bytes_max && fields[3] != 0 &&
                  fields[3] <= kv::value_bytes_max;
  if (!ok) return fail(Errc::corrupt, "reference to a value", place);
  return ValueRef{.table = fields[0],
                  .offset = fields[1] * value_align,
                  .bytes = static_cast<std::uint32_t>(fields[2]),
                  .size = static_cast<std::uint32_t>(fields[3])};
}

void add_use(std::vector<ValueUse>& uses, std::uint64_t table, std::uint64_t bytes) {
  const auto at = std::ranges::lower_bound(uses, table, {}, &ValueUse::table);
  if (at != uses.end() && at->table == table) {
    at->bytes += bytes;
  } else {
    uses.insert(at, {table, bytes});
  }
}

std::size_t write_value(Bytes value, Compressor& compressor, MutableBytes to, ErrorPlace place) noexcept {
  std::byte* const payload = to.data() + frame_header_bytes;
  std::size_t stored = 0;
  if (compressor.method() != Compression::none)
    stored = compressor.compress(value, {payload, value.size() - value.size() / 8});
  const bool compressed = stored != 0;
  if (!compressed) {
    stored = value.size();
    std::memcpy(payload, value.data(), stored);
  }
  const MutableBytes frame = to.first(frame_header_bytes + stored);
  seal_frame(frame, FrameType::value, compressed ? compressor.method() : Compression::none,
             static_cast<std::uint32_t>(stored), static_cast<std::uint32_t>(value.size()), place);
  return frame.size();
}

Result<Frame> open_value(Bytes blocks, const ValueRef& ref) noexcept {
  const ErrorPlace place = ref.place();
  const std::uint64_t skip = ref.offset - ref.read_from();
  if (blocks.size() < skip + ref.bytes) return fail(Errc::corrupt, "value: table ends before it", place);
  const Frame frame = TRY(open_frame(blocks.subspan(skip, ref.bytes), FrameType::value, place));
  if (frame.stored.size() + frame_header_bytes != ref.bytes || frame.raw_bytes != ref.size)
    return fail(Errc::corrupt, "value: not what its reference says", place);
  return frame;
}

void ValueFooter::encode(std::span<std::byte, page_bytes> page) const noexcept {
  std::ranges::fill(page, std::byte{0});
  std::byte* const to = page.data() + frame_header_bytes;
  store_le(to, magic);
  store_le(to + 8, version);
  store_le(to + 16, number);
  store_le(to + 24, owner);
  store_le(to + 32, data_end);
  store_le(to + 40, values);
  constexpr auto bytes = static_cast<std::uint32_t>(footer_payload_bytes);
  seal_frame(page, FrameType::value_footer, Compression::none, bytes, bytes,
             {number, file_bytes(data_end) - page_bytes});
}

Result<ValueFooter> ValueFooter::decode(Bytes page, std::uint64_t number, std::uint64_t file_bytes,
                                        std::uint64_t owner) noexcept {
  if (page.size() != page_bytes || file_bytes < 2 * page_bytes || file_bytes % page_bytes != 0)
    return fail(Errc::corrupt, "value table footer: size", {number, file_bytes});
  const ErrorPlace place{number, file_bytes - page_bytes};
  const Bytes payload = TRY(open_plain_frame(page, FrameType::value_footer, place));
  if (payload.size() < 12 || load_le<std::uint64_t>(payload.data()) != magic)
    return fail(Errc::corrupt, "value table footer: magic", place);
  if (load_le<std::uint32_t>(payload.data() + 8) != version)
    return fail(Errc::unsupported, "value table footer: version", place);
  if (payload.size() != footer_payload_bytes || load_le<std::uint32_t>(payload.data() + 12) != 0)
    return fail(Errc::corrupt, "value table footer", place);
  const ValueFooter footer{.number = load_le<std::uint64_t>(payload.data() + 16),
                           .owner = load_le<std::uint64_t>(payload.data() + 24),
                           .data_end = load_le<std::uint64_t>(payload.data() + 32),
                           .values = load_le<std::uint64_t>(payload.data() + 40)};
  const bool inside = footer.data_end != 0 && footer.data_end <= place.offset &&
                      footer.data_end % value_align == 0 &&
                      ValueFooter::file_bytes(footer.data_end) == file_bytes;
  if (footer.number != number || footer.values == 0 || !inside)
    return fail(Errc::corrupt, "value table footer", place);
  if (footer.owner != owner) return fail(Errc::corrupt, "value table of another partition", place);
  return footer;
}

bool ValueFooter::looks_like(Bytes page) noexcept {
  return page.size() >= frame_header_bytes + 8 &&
         load_le<std::uint64_t>(page.data() + frame_header_bytes) == magic;
}

}  // namespace ashlar::lsm

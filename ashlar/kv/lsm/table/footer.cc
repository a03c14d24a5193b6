#include "ashlar/kv/lsm/table/footer.h"

#include <algorithm>
#include <bit>

#include "ashlar/base/endian.h"
#include "ashlar/kv/lsm/table/frame.h"

namespace ashlar::lsm {
namespace {

constexpr std::uint64_t magic = 0x4c42546c72687361;  // "ashlrTBL"
// 3: the table is partitioned. 4: it has merge operands or erased ranges. 5: as 4, and it refers to value
// tables. Others are written as 2.
constexpr std::uint32_t version = 5;
constexpr std::size_t handle_bytes = 16;
constexpr std::size_t version1_payload_bytes = 32 + 3 * handle_bytes;       // without an owner
constexpr std::size_t version2_payload_bytes = version1_payload_bytes + 8;  // without partitions
constexpr std::size_t version3_payload_bytes = version2_payload_bytes + 8;  // without ranges
constexpr std::size_t footer_payload_bytes = version3_payload_bytes + handle_bytes;

static_assert(frame_header_bytes + footer_payload_bytes <= 512,
              "the footer is within one sector: it never tears");

constexpr std::size_t payload_bytes(std::uint32_t written_as) noexcept {
  constexpr std::size_t of_version[] = {0,
                                        version1_payload_bytes,
                                        version2_payload_bytes,
                                        version3_payload_bytes,
                                        footer_payload_bytes,
                                        footer_payload_bytes};
  return of_version[written_as];
}

}  // namespace

void Footer::encode(std::span<std::byte, page_bytes> page) const noexcept {
  std::ranges::fill(page, std::byte{0});
  std::byte* to = page.data() + frame_header_bytes;
  store_le(to, magic);
  const bool newer = ranges.bytes != 0 || newer_kinds;
  const std::uint32_t written_as = references ? version : newer ? 4u : partitioned ? 3u : 2u;
  store_le(to + 8, written_as);
  store_le(to + 12, block_bytes);
  store_le(to + 16, number);
  store_le(to + 24, meta);
  to += 32;
  for (const BlockHandle& handle : {filter, index, properties}) {
    store_le(to, handle.offset);
    store_le(to + 8, handle.bytes);
    to += handle_bytes;
  }
  store_le(to, owner);
  if (written_as >= 3) store_le(to + 8, partitioned ? data_end : meta);
  if (written_as >= 4) {
    store_le(to + 16, ranges.offset);
    store_le(to + 24, ranges.bytes);
  }
  const auto bytes = static_cast<std::uint32_t>(payload_bytes(written_as));
  seal_frame(page, FrameType::footer, Compression::none, bytes, bytes, {number, offset});
}

Result<Footer> Footer::decode(Bytes page, std::uint64_t number, std::uint64_t file_bytes,
                              std::uint64_t owner) noexcept {
  if (page.size() != page_bytes || file_bytes < page_bytes || file_bytes % page_bytes != 0) {
    return fail(Errc::corrupt, "table footer: size", {number, file_bytes});
  }
  const ErrorPlace place{number, file_bytes - page_bytes};
  const Bytes payload = TRY(open_plain_frame(page, FrameType::footer, place));
  if (payload.size() < version1_payload_bytes || load_le<std::uint64_t>(payload.data()) != magic) {
    return fail(Errc::corrupt, "table footer: magic", place);
  }
  const auto written_as = load_le<std::uint32_t>(payload.data() + 8);
  if (written_as == 0 || written_as > version) return fail(Errc::unsupported, "table footer: version", place);
  if (payload.size() != payload_bytes(written_as)) return fail(Errc::corrupt, "table footer: size", place);

  Footer footer{.number = load_le<std::uint64_t>(payload.data() + 16),
                .owner = written_as == 1 ? owner_unknown
                                         : load_le<std::uint64_t>(payload.data() + version1_payload_bytes),
                .block_bytes = load_le<std::uint32_t>(payload.data() + 12),
                .partitioned = written_as == 3,
                .data_end = load_le<std::uint64_t>(
                    payload.data() + (written_as >= 3 ? version2_payload_bytes : std::size_t{24})),
                .meta = load_le<std::uint64_t>(payload.data() + 24),
                .offset = place.offset,
                .filter = {},
                .index = {},
                .properties = {},
                .ranges = {},
                .newer_kinds = written_as >= 4,
                .references = written_as == version};
  footer.partitioned |= footer.data_end != footer.meta;
  const bool block_ok = std::has_single_bit(footer.block_bytes) && footer.block_bytes >= block_bytes_min &&
                        footer.block_bytes <= block_bytes_max;
  const bool ends_ok = footer.data_end <= footer.meta && footer.meta <= footer.offset &&
                       footer.data_end % page_bytes == 0 && footer.meta % page_bytes == 0;
  if (footer.number != number || !block_ok || !ends_ok) {
    return fail(Errc::corrupt, "table footer", place);
  }
  if (owner != owner_unknown && footer.owner != owner_unknown && footer.owner != owner)
    return fail(Errc::corrupt, "table of another partition", place);
  std::size_t from = 32;
  for (BlockHandle* handle : {&footer.filter, &footer.index, &footer.properties, &footer.ranges}) {
    if (handle == &footer.ranges) from = version3_payload_bytes;
    if (from + handle_bytes > payload.size()) break;  // a former version
    *handle = {load_le<std::uint64_t>(payload.data() + from),
               load_le<std::uint32_t>(payload.data() + from + 8)};
    from += handle_bytes;
    const bool inside = handle->offset >= footer.meta && handle->offset <= footer.offset &&
                        handle->bytes <= footer.offset - handle->offset;
    if (!inside && handle->bytes != 0) return fail(Errc::corrupt, "table footer: handle", place);
  }
  return footer;
}

}  // namespace ashlar::lsm

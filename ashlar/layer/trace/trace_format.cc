#include "ashlar/layer/trace/trace_format.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/base/zero.h"

namespace ashlar::trace {

namespace {

constexpr std::uint32_t magic(const char (&text)[5]) noexcept {
  return static_cast<std::uint32_t>(text[0]) | static_cast<std::uint32_t>(text[1]) << 8 |
         static_cast<std::uint32_t>(text[2]) << 16 | static_cast<std::uint32_t>(text[3]) << 24;
}
constexpr std::uint32_t header_magic = magic("ATrH"), chunk_magic = magic("ATr1");
constexpr std::uint32_t version = 1;
constexpr std::size_t spec_at = 48;
static_assert(spec_at + spec_bytes_max <= header_bytes);

// The operations by their numbers in the format, which are those of the code today.
static_assert(static_cast<int>(Op::read) == 0 && static_cast<int>(Op::compare_and_write) == 5);
static_assert(static_cast<int>(IoPriority::background) == 2);
constexpr std::uint8_t results = static_cast<std::uint8_t>(Errc::stopped) + 2;

constexpr std::uint64_t zigzag(std::uint64_t difference) noexcept {
  return difference << 1 ^ (0 - (difference >> 63));
}
constexpr std::uint64_t from_zigzag(std::uint64_t coded) noexcept {
  return coded >> 1 ^ (0 - (coded & 1));
}

/// Reads what lies before `end`; after a mistake, nothing more.
struct Cursor {
  const std::byte* at;
  const std::byte* end;

  bool ok() const noexcept { return at != nullptr; }
  std::uint8_t byte() noexcept {
    if (at == end) at = end = nullptr;
    return at == nullptr ? std::uint8_t{0} : static_cast<std::uint8_t>(*at++);
  }
  std::uint64_t varint() noexcept {
    std::uint64_t value = 0;
    if (at != nullptr) at = load_varint(at, end, value);
    if (at == nullptr) end = nullptr;
    return value;
  }
};

}  // namespace

void encode(const Header& header, MutableBytes into) {
  assert(into.size() == header_bytes);
  std::ranges::fill(into, std::byte{0});
  std::byte* const to = into.data();
  const std::string_view spec = std::string_view(header.spec).substr(0, spec_bytes_max);
  store_le(to + 4, header_magic);
  store_le(to + 8, version);
  store_le(to + 12, header.block_bytes);
  store_le(to + 16, header.number);
  store_le(to + 24, header.began_ms);
  store_le(to + 32, header.blocks);
  store_le(to + 40, static_cast<std::uint32_t>(spec.size()));
  std::ranges::copy(as_bytes(spec), to + spec_at);
  store_le(to, crc32c(into.subspan(4)));
}

Result<Header> decode_header(Bytes bytes) {
  if (bytes.size() < header_bytes) return fail(Errc::corrupt, "trace header: too short");
  const std::byte* const from = bytes.data();
  if (load_le<std::uint32_t>(from + 4) != header_magic)
    return fail(Errc::corrupt, "trace header: not a trace", {.offset = 4});
  if (load_le<std::uint32_t>(from) != crc32c(bytes.first(header_bytes).subspan(4)))
    return fail(Errc::corrupt, "trace header: checksum");
  if (load_le<std::uint32_t>(from + 8) != version)
    return fail(Errc::unsupported, "trace header: another version", {.offset = 8});
  Header header{.number = load_le<std::uint64_t>(from + 16),
                .began_ms = load_le<std::uint64_t>(from + 24),
                .block_bytes = load_le<std::uint32_t>(from + 12),
                .blocks = load_le<std::uint64_t>(from + 32),
                .spec = {}};
  const auto spec_bytes = load_le<std::uint32_t>(from + 40);
  if (!std::has_single_bit(header.block_bytes) || header.block_bytes < 512 || header.block_bytes > 65'536)
    return fail(Errc::corrupt, "trace header: block size", {.offset = 12});
  if (spec_bytes > spec_bytes_max) return fail(Errc::corrupt, "trace header: spec", {.offset = 40});
  header.spec = as_text(bytes.subspan(spec_at, spec_bytes));
  return header;
}

ChunkWriter::ChunkWriter(MutableBytes memory, std::uint64_t base_ns) noexcept
    : memory_(memory), base_ns_(base_ns) {
  assert(memory.size() == chunk_bytes);
}

void ChunkWriter::add(const Entry& entry) noexcept {
  assert(!full());
  std::byte* const start = memory_.data() + size_;
  std::byte* to = start;
  *to++ = static_cast<std::byte>(static_cast<unsigned>(entry.op) | (entry.durable ? 1u << 3 : 0) |
                                 static_cast<unsigned>(entry.priority) << 4 | (entry.deadline ? 1u << 6 : 0) |
                                 (entry.atomic ? 1u << 7 : 0));
  *to++ = static_cast<std::byte>(entry.result);
  const std::uint64_t time = entry.completed_ns - base_ns_;
  to = store_varint(to, zigzag(time - time_));
  to = store_varint(to, entry.latency_ns);
  to = store_varint(to, zigzag(entry.lba - next_lba_));
  to = store_varint(to, entry.blocks);
  time_ = time;
  next_lba_ = entry.lba + entry.blocks;
  size_ += static_cast<std::size_t>(to - start);
  ++entries_;
}

std::size_t ChunkWriter::finish(std::uint64_t trace, std::uint32_t shard, std::uint32_t ordinal,
                                std::uint64_t dropped) noexcept {
  std::byte* const to = memory_.data();
  store_le(to + 4, chunk_magic);
  store_le(to + 8, trace);
  store_le(to + 16, shard);
  store_le(to + 20, ordinal);
  store_le(to + 24, base_ns_);
  store_le(to + 32, entries_);
  store_le(to + 36, static_cast<std::uint32_t>(size_ - chunk_header_bytes));
  store_le(to + 40, dropped);
  store_le(to, crc32c(Bytes(memory_).first(size_).subspan(4)));
  return size_;
}

Slot examine(Bytes slot, std::uint64_t trace, ChunkHeader& header) noexcept {
  if (all_zero(slot.first(std::min(slot.size(), chunk_header_bytes)))) return Slot::nothing;
  if (slot.size() < chunk_header_bytes) return Slot::damaged;
  const std::byte* const from = slot.data();
  header = {.shard = load_le<std::uint32_t>(from + 16),
            .ordinal = load_le<std::uint32_t>(from + 20),
            .base_ns = load_le<std::uint64_t>(from + 24),
            .entries = load_le<std::uint32_t>(from + 32),
            .size = load_le<std::uint32_t>(from + 36),
            .dropped = load_le<std::uint64_t>(from + 40)};
  const bool right =
      load_le<std::uint32_t>(from + 4) == chunk_magic && load_le<std::uint64_t>(from + 8) == trace &&
      header.size <= slot.size() - chunk_header_bytes && header.size <= chunk_bytes - chunk_header_bytes &&
      load_le<std::uint32_t>(from) == crc32c(slot.subspan(4, chunk_header_bytes - 4 + header.size));
  return right ? Slot::chunk : Slot::damaged;
}

Result<> decode_entries(Bytes slot, const ChunkHeader& header, std::vector<Entry>& entries) {
  const std::size_t before = entries.size();
  const std::byte* const start = slot.data() + chunk_header_bytes;
  Cursor cursor{start, start + header.size};
  const auto corrupt = [&](const char* what) {
    const auto offset = cursor.ok() ? static_cast<std::size_t>(cursor.at - slot.data()) : chunk_header_bytes;
    entries.resize(before);
    return fail(Errc::corrupt, what, {.object = header.ordinal, .offset = offset});
  };
  std::uint64_t time = header.base_ns, next_lba = 0;
  for (std::uint32_t i = 0; i < header.entries; ++i) {
    const std::uint8_t flags = cursor.byte();
    Entry entry{.op = static_cast<Op>(flags & 7),
                .durable = (flags & 1u << 3) != 0,
                .atomic = (flags & 1u << 7) != 0,
                .deadline = (flags & 1u << 6) != 0,
                .priority = static_cast<IoPriority>(flags >> 4 & 3),
                .result = cursor.byte(),
                .shard = header.shard};
    entry.completed_ns = time += from_zigzag(cursor.varint());
    entry.latency_ns = cursor.varint();
    entry.lba = next_lba + from_zigzag(cursor.varint());
    entry.blocks = cursor.varint();
    next_lba = entry.lba + entry.blocks;
    if (!cursor.ok()) return corrupt("trace entry: cut off");
    const bool known = (flags & 7) <= static_cast<unsigned>(Op::compare_and_write) &&
                       (flags >> 4 & 3) <= static_cast<unsigned>(IoPriority::background) &&
                       entry.result < results;
    if (!known) return corrupt("trace entry: unknown operation or result");
    if (entry.latency_ns > entry.completed_ns || next_lba < entry.lba)
      return corrupt("trace entry: out of range");
    entries.push_back(entry);
  }
  if (cursor.at != cursor.end) return corrupt("trace chunk: more bytes than entries");
  return {};
}

}  // namespace ashlar::trace

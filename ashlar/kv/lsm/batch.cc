#include "ashlar/kv/lsm/batch.h"

#include <bit>

#include "ashlar/base/endian.h"
#include "ashlar/kv/lsm/operands.h"
#include "ashlar/kv/lsm/range_set.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint8_t expiry_flag = 0x80;

std::size_t varint_bytes(std::uint64_t value) noexcept {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

std::byte* store_bytes(std::byte* to, Bytes bytes) noexcept {
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

constexpr bool has_value(Kind kind) noexcept {
  return kind == Kind::put || kind == Kind::merge || kind == Kind::erase_range;
}
constexpr bool may_expire(Kind kind) noexcept {
  return kind == Kind::put || kind == Kind::merge;
}

bool has_expiry(const kv::Write& write) noexcept {
  return may_expire(write.kind) && write.expiry_ms != no_expiry;
}

Bytes key_of(const kv::Write& write) noexcept {
  return write.kind == Kind::clear ? Bytes{} : write.key->bytes();
}

}  // namespace

std::size_t batch_bytes(std::span<const kv::Write> writes) noexcept {
  std::size_t bytes = 0;
  for (const kv::Write& write : writes) {
    const Bytes key = key_of(write);
    bytes += 1 + varint_bytes(key.size()) + key.size();
    if (has_expiry(write)) bytes += varint_bytes(write.expiry_ms);
    if (has_value(write.kind)) bytes += varint_bytes(write.value.size()) + write.value.size();
  }
  return bytes;
}

std::size_t batch_payload_bytes(std::span<const kv::Write> writes) noexcept {
  std::size_t bytes = 0;
  for (const kv::Write& write : writes) bytes += key_of(write).size() + write.value.size();
  return bytes;
}

std::byte* encode_batch(std::span<const kv::Write> writes, std::byte* to) noexcept {
  for (const kv::Write& write : writes) {
    const Bytes key = key_of(write);
    const bool expires = has_expiry(write);
    *to++ = static_cast<std::byte>(static_cast<std::uint8_t>(write.kind) | (expires ? expiry_flag : 0));
    to = store_varint(to, key.size());
    to = store_bytes(to, key);
    if (expires) to = store_varint(to, write.expiry_ms);
    if (!has_value(write.kind)) continue;
    to = store_varint(to, write.value.size());
    to = store_bytes(to, write.value);
  }
  return to;
}

std::unexpected<Error> BatchReader::corrupt() const noexcept {
  return fail(Errc::corrupt, "batch",
              {.object = place_.object, .offset = place_.offset + static_cast<std::uint64_t>(at_ - begin_)});
}

bool BatchReader::take(std::uint64_t bytes, Bytes& out) noexcept {
  if (bytes > static_cast<std::uint64_t>(end_ - at_)) return false;
  out = {at_, static_cast<std::size_t>(bytes)};
  at_ += bytes;
  return true;
}

Result<bool> BatchReader::next() noexcept {
  if (at_ == end_) return false;
  const auto tag = static_cast<std::uint8_t>(*at_);
  const auto kind = static_cast<std::uint8_t>(tag & ~expiry_flag);
  const bool clear = kind == static_cast<std::uint8_t>(Kind::clear);
  const bool expires = (tag & expiry_flag) != 0;
  const bool range = kind == static_cast<std::uint8_t>(Kind::erase_range);
  if (!clear && !range && !is_key_kind(kind)) return corrupt();
  entry_.kind = static_cast<Kind>(kind);
  if (expires && !may_expire(entry_.kind)) return corrupt();

  std::uint64_t bytes = 0;
  const std::byte* after = load_varint(at_ + 1, end_, bytes);
  if (after == nullptr || bytes > kv::stored_key_bytes_max) return corrupt();
  if (clear ? bytes != 0 || at_ != begin_ : bytes < (range ? 1 : kv::key_prefix_bytes)) return corrupt();
  at_ = after;
  if (!take(bytes, entry_.key)) return corrupt();

  entry_.expiry_ms = no_expiry;
  if (expires) {
    after = load_varint(at_, end_, entry_.expiry_ms);
    if (after == nullptr || entry_.expiry_ms == no_expiry) return corrupt();
    at_ = after;
  }
  entry_.value = {};
  if (has_value(entry_.kind)) {
    after = load_varint(at_, end_, bytes);
    if (after == nullptr || bytes > kv::value_bytes_max) return corrupt();
    at_ = after;
    if (!take(bytes, entry_.value)) return corrupt();
    if (range && !is_range(entry_.key, entry_.value)) return corrupt();
    if (entry_.kind == Kind::merge && !is_operand_list(entry_.value)) return corrupt();
  }
  return true;
}

}  // namespace ashlar::lsm

#pragma once

/// Tagged fields, as root records and manifests use them: a tag, a size and that many bytes, each number a
/// varint.

#include <initializer_list>
#include <vector>

#include "ashlar/base/endian.h"
#include "ashlar/base/result.h"

namespace ashlar {

class FieldWriter {
 public:
  void number(std::uint64_t value) {
    std::byte buffer[varint_size_max];
    const std::byte* end = store_varint(buffer, value);
    out_.insert(out_.end(), static_cast<const std::byte*>(buffer), end);
  }
  /// A length and the bytes.
  void bytes(Bytes value) {
    number(value.size());
    out_.insert(out_.end(), value.begin(), value.end());
  }
  void field(std::uint64_t tag, std::initializer_list<std::uint64_t> numbers) {
    FieldWriter inner;
    for (const std::uint64_t value : numbers) inner.number(value);
    field(tag, inner);
  }
  void field(std::uint64_t tag, const FieldWriter& inner) {
    number(tag);
    bytes(inner.out_);
  }
  std::vector<std::byte> take() { return std::move(out_); }

 private:
  std::vector<std::byte> out_;
};

/// A view; every read is bounded. `where` and `place` go into errors, with the offset of the offending byte.
class FieldReader {
 public:
  FieldReader(Bytes bytes, const char* where, ErrorPlace place) noexcept
      : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()), where_(where), place_(place) {}

  bool at_end() const noexcept { return at_ == end_; }
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  std::unexpected<Error> error(Errc code = Errc::corrupt) const noexcept {
    return fail(
        code, where_,
        {.object = place_.object, .offset = place_.offset + static_cast<std::uint64_t>(at_ - begin_)});
  }
  Result<std::uint64_t> number() {
    std::uint64_t value = 0;
    const std::byte* after = load_varint(at_, end_, value);
    if (after == nullptr) return error();
    at_ = after;
    return value;
  }
  /// A number of at most `max`.
  Result<std::uint64_t> number(std::uint64_t max) {
    const FieldReader before = *this;
    const std::uint64_t value = TRY(number());
    if (value > max) return before.error();
    return value;
  }
  Result<Bytes> bytes() {
    const std::uint64_t size = TRY(number(left()));
    if (size > left()) return error();
    const Bytes value{at_, static_cast<std::size_t>(size)};
    at_ += size;
    return value;
  }
  struct Field;
  Result<Field> field();

 private:
  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  const char* where_;
  ErrorPlace place_;
};

struct FieldReader::Field {
  std::uint64_t tag;
  FieldReader content;
};

inline Result<FieldReader::Field> FieldReader::field() {
  const std::uint64_t tag = TRY(number());
  const Bytes content = TRY(bytes());
  const auto offset = static_cast<std::uint64_t>(content.data() - begin_);
  return Field{tag,
               FieldReader(content, where_, {.object = place_.object, .offset = place_.offset + offset})};
}

/// Tags from here on may be skipped by a reader that does not know them; smaller ones may not.
constexpr std::uint64_t first_skippable_tag = 128;

}  // namespace ashlar

#pragma once

/// Writes replies in the protocol version a connection speaks.

#include <array>
#include <cstdint>
#include <string_view>

#include "ashlar/server/resp/number.h"
#include "ashlar/server/resp/output_buffer.h"

namespace ashlar::resp {

enum class Protocol : std::uint8_t { resp2 = 2, resp3 = 3 };

/// Encodes replies into an output buffer. What RESP2 lacks is said the way Redis says it there: a map as a
/// flat array, a set as an array, a boolean as 0 or 1, a verbatim string as a bulk, null as "$-1". Costs
/// nothing to make; holds no state but the two references.
class ReplyWriter {
 public:
  ReplyWriter(OutputBuffer& out, Protocol protocol) noexcept : out_(&out), protocol_(protocol) {}

  void ok() { out_->append("+OK\r\n"); }
  void raw(std::string_view encoded) { out_->append(encoded); }

  /// Short text without line ends.
  void simple(std::string_view text) { line('+', text); }

  /// `text` starts with its code, such as "ERR syntax error". Line ends in it become spaces.
  void error(std::string_view text);

  void integer(std::int64_t value) { number(':', value); }

  void bulk(std::string_view text) {
    if (text.size() > OutputBuffer::reserve_bytes_max - bulk_frame_bytes_max) [[unlikely]]
      return long_bulk(text);
    char* const begin = out_->reserve(text.size() + bulk_frame_bytes_max);
    char* to = begin;
    *to++ = '$';
    to += format_length(to, text.size());
    *to++ = '\r';
    *to++ = '\n';
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    to += text.size();
    *to++ = '\r';
    *to++ = '\n';
    out_->commit(static_cast<std::size_t>(to - begin));
  }
  /// Copies a small value, references a big one; either way the pin goes when the bytes are not needed.
  void bulk(std::string_view text, Pin pin) {
    if (text.size() < OutputBuffer::pinned_bytes_min) return bulk(text);
    header('$', static_cast<std::int64_t>(text.size()));
    out_->append_pinned(text, std::move(pin));
    out_->append("\r\n");
  }

  void null() { out_->append(protocol_ == Protocol::resp3 ? "_\r\n" : "$-1\r\n"); }
  void null_array() { out_->append(protocol_ == Protocol::resp3 ? "_\r\n" : "*-1\r\n"); }

  /// Headers: so many elements, or pairs for a map, follow.
  void array(std::size_t elements) { header('*', static_cast<std::int64_t>(elements)); }
  void map(std::size_t pairs) {
    if (protocol_ == Protocol::resp3) return header('%', static_cast<std::int64_t>(pairs));
    header('*', static_cast<std::int64_t>(pairs) * 2);
  }
  void set(std::size_t elements) {
    header(protocol_ == Protocol::resp3 ? '~' : '*', static_cast<std::int64_t>(elements));
  }

  void boolean(bool value) {
    if (protocol_ == Protocol::resp3) return out_->append(value ? "#t\r\n" : "#f\r\n");
    integer(value ? 1 : 0);
  }

  /// Text of several lines: plain text to RESP3, a bulk to RESP2.
  void verbatim(std::string_view text);

  Protocol protocol() const noexcept { return protocol_; }
  OutputBuffer& buffer() noexcept { return *out_; }

 private:
  static constexpr std::size_t bulk_frame_bytes_max = 16;  // around a bulk that one piece of output takes

  /// Below 1000.
  static std::size_t format_length(char* to, std::size_t length) noexcept {
    std::size_t digits = 0;
    if (length >= 100) to[digits++] = static_cast<char>('0' + length / 100);
    if (length >= 10) to[digits++] = static_cast<char>('0' + length / 10 % 10);
    to[digits++] = static_cast<char>('0' + length % 10);
    return digits;
  }
  void long_bulk(std::string_view text) {
    header('$', static_cast<std::int64_t>(text.size()));
    out_->append(text);
    out_->append("\r\n");
  }
  void line(char kind, std::string_view text) {
    out_->append({&kind, 1});
    out_->append(text);
    out_->append("\r\n");
  }
  void header(char kind, std::int64_t value) {
    // One digit is the common case: lengths of small values and of replies to INCR.
    if (static_cast<std::uint64_t>(value) < 10) [[likely]] {
      const std::array<char, 4> text = {kind, static_cast<char>('0' + value), '\r', '\n'};
      return out_->append({text.data(), text.size()});
    }
    number(kind, value);
  }
  void number(char kind, std::int64_t value) {
    char* const to = out_->reserve(integer_text_bytes_max + 3);
    *to = kind;
    const std::size_t digits = format_integer(to + 1, value);
    to[digits + 1] = '\r';
    to[digits + 2] = '\n';
    out_->commit(digits + 3);
  }

  OutputBuffer* out_;
  Protocol protocol_;
};

}  // namespace ashlar::resp

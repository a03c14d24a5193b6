#pragma once

/// The parser of requests: bytes in, commands out, no I/O.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/bytes.h"

namespace ashlar::resp {

/// What one request may ask for. The defaults are those of a client that has authenticated.
struct RequestLimits {
  std::int64_t bulk_bytes_max = 512LL << 20;
  std::int64_t arguments_max = 1 << 20;

  /// Before AUTH a client gets no more than it needs for AUTH and HELLO.
  static constexpr RequestLimits unauthenticated() noexcept { return {16'384, 10}; }
};

/// Parses requests, multi-bulk (RESP2 and RESP3 alike) and inline, from a contiguous receive buffer.
///
///   while (parser.parse(unread) == RequestParser::Status::complete) {
///     execute(parser.arguments());                 // views into the buffer
///     unread = unread.subspan(parser.consumed());
///   }
///
/// Each call gets the bytes from the start of the current request on: the same ones again and what arrived
/// since. The buffer may have moved between calls. What was parsed is not parsed again, the argument array is
/// reused, nothing is copied. Inline requests with quotes are unescaped in place, hence the mutable bytes.
///
/// Not thread-safe; one per connection. After an error the connection answers error() and closes.
class RequestParser {
 public:
  enum class Status : std::uint8_t { complete, incomplete, error };

  /// complete: arguments() and consumed() tell; an empty request has no arguments and wants no reply.
  /// incomplete: wanted() tells. error: error() tells.
  Status parse(MutableBytes input) noexcept;

  /// Forgets what was parsed: the next parse() begins a request.
  void restart() noexcept { done_ = true; }

  /// Valid until the buffer moves or the next parse().
  std::span<const std::string_view> arguments() const noexcept { return arguments_; }
  std::size_t consumed() const noexcept { return position_; }
  /// After incomplete: at least so many bytes are missing. Lets the caller receive a big value in one piece.
  std::size_t wanted() const noexcept { return wanted_; }
  /// Redis' own text, without "-ERR " and the line end.
  std::string_view error() const noexcept { return error_; }

  void set_limits(const RequestLimits& limits) noexcept { limits_ = limits; }
  void set_authenticated(bool authenticated) noexcept { authenticated_ = authenticated; }

  static constexpr std::size_t line_bytes_max = 64 * 1024;

 private:
  enum class Stage : std::uint8_t { start, inline_line, count, bulk_header, bulk_body };
  enum class Line : std::uint8_t { found, missing, too_long };

  Status parse_multibulk(char* input, std::size_t size) noexcept;
  Status parse_inline(char* input, std::size_t size) noexcept;
  bool split_inline(char* line, char* end);
  Line take_number(const char* input, std::size_t size, std::int64_t& value, bool& valid) noexcept;
  Status reject(std::string_view error) noexcept;
  Status need(std::size_t bytes) noexcept;
  void rebase(const char* input) noexcept;

  std::vector<std::string_view> arguments_;
  const char* base_ = nullptr;  // where the current request started when its views were taken
  std::size_t position_ = 0;    // parsed so far, from that start
  std::size_t wanted_ = 0;
  std::int64_t remaining_ = 0;   // arguments still to come
  std::int64_t bulk_bytes_ = 0;  // of the argument whose header was read
  RequestLimits limits_;
  Stage stage_ = Stage::start;
  bool done_ = true;
  bool authenticated_ = true;
  std::string unexpected_ = "Protocol error: expected '$', got ' '";  // the one error text that varies
  std::string_view error_;
};

}  // namespace ashlar::resp

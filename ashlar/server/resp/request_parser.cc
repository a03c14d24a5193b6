#include "ashlar/server/resp/request_parser.h"

#include <cctype>
#include <cstring>

#include "ashlar/server/resp/number.h"

namespace ashlar::resp {
namespace {

constexpr std::size_t arguments_kept_max = 1024;  // a request of more gives its array back

bool is_space(char c) noexcept {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}
bool is_hex(char c) noexcept {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}
int hex_value(char c) noexcept {
  return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/// The byte that `\c` stands for inside double quotes.
char unescape(char c) noexcept {
  switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
  }
}

}  // namespace

RequestParser::Status RequestParser::reject(std::string_view error) noexcept {
  error_ = error;
  return Status::error;
}

RequestParser::Status RequestParser::need(std::size_t bytes) noexcept {
  wanted_ = bytes;
  return Status::incomplete;
}

void RequestParser::rebase(const char* input) noexcept {
  for (auto& argument : arguments_) argument = {input + (argument.data() - base_), argument.size()};
  base_ = input;
}

RequestParser::Status RequestParser::parse(MutableBytes bytes) noexcept {
  char* const input = reinterpret_cast<char*>(bytes.data());
  if (done_) {
    if (arguments_.capacity() > arguments_kept_max) [[unlikely]]
      std::vector<std::string_view>().swap(arguments_);
    arguments_.clear();
    position_ = 0;
    stage_ = Stage::start;
    base_ = input;
    done_ = false;
  } else if (base_ != input) {
    rebase(input);
  }
  if (stage_ == Stage::start) {
    if (bytes.empty()) return need(1);
    stage_ = input[0] == '*' ? Stage::count : Stage::inline_line;
  }
  const Status status =
      stage_ == Stage::inline_line ? parse_inline(input, bytes.size()) : parse_multibulk(input, bytes.size());
  done_ = status == Status::complete;
  return status;
}

/// Reads "Xnumber\r\n" at position_, X being any byte, and moves past it. The common form takes the first
/// loop; anything else is found and judged the way Redis does: up to the '\r', by string2ll.
RequestParser::Line RequestParser::take_number(const char* input, std::size_t size, std::int64_t& value,
                                               bool& valid) noexcept {
  const char* const begin = input + position_ + 1;
  const char* const end = input + size;
  const char* at = begin;
  std::int64_t sum = 0;
  while (at < end && at - begin < 10 && *at >= '0' && *at <= '9') sum = sum * 10 + (*at++ - '0');
  if (end - at >= 2 && at[0] == '\r' && at != begin && (*begin != '0' || at - begin == 1)) [[likely]] {
    value = sum;
    valid = true;
    position_ = static_cast<std::size_t>(at - input) + 2;
    return Line::found;
  }
  const std::size_t rest = size - position_;
  const void* const found = std::memchr(input + position_, '\r', rest);
  if (found == nullptr) return rest > line_bytes_max ? Line::too_long : Line::missing;
  const char* const stop = static_cast<const char*>(found);
  if (end - stop < 2) return Line::missing;
  const auto number =
      stop > begin ? parse_integer({begin, static_cast<std::size_t>(stop - begin)}) : std::nullopt;
  valid = number.has_value();
  value = number.value_or(0);
  position_ = static_cast<std::size_t>(stop - input) + 2;
  return Line::found;
}

RequestParser::Status RequestParser::parse_multibulk(char* input, std::size_t size) noexcept {
  if (stage_ == Stage::count) {
    bool valid = false;
    switch (take_number(input, size, remaining_, valid)) {
      case Line::missing: return need(1);
      case Line::too_long: return reject("Protocol error: too big mbulk count string");
      case Line::found: break;
    }
    if (!valid || remaining_ > limits_.arguments_max)
      return reject("Protocol error: invalid multibulk length");
    if (!authenticated_ && remaining_ > RequestLimits::unauthenticated().arguments_max) {
      return reject("Protocol error: unauthenticated multibulk length");
    }
    if (remaining_ <= 0) return Status::complete;
    stage_ = Stage::bulk_header;
  }
  for (;;) {
    if (stage_ == Stage::bulk_header) {
      if (position_ == size) return need(4);  // "$0\r\n" at least
      const char kind = input[position_];
      bool valid = false;
      switch (take_number(input, size, bulk_bytes_, valid)) {
        case Line::missing: return need(1);
        case Line::too_long: return reject("Protocol error: too big bulk count string");
        case Line::found: break;
      }
      if (kind != '$') {
        unexpected_[unexpected_.size() - 2] = kind;
        return reject({unexpected_.data(), unexpected_.size()});
      }
      if (!valid || bulk_bytes_ < 0 || bulk_bytes_ > limits_.bulk_bytes_max) {
        return reject("Protocol error: invalid bulk length");
      }
      if (!authenticated_ && bulk_bytes_ > RequestLimits::unauthenticated().bulk_bytes_max) {
        return reject("Protocol error: unauthenticated bulk length");
      }
      stage_ = Stage::bulk_body;
    }
    const auto length = static_cast<std::size_t>(bulk_bytes_);
    const std::size_t present = size - position_;
    if (present < length + 2) return need(length + 2 - present);
    arguments_.emplace_back(input + position_, length);
    position_ += length + 2;  // the two bytes after a bulk are not looked at, as in Redis
    stage_ = Stage::bulk_header;
    if (--remaining_ == 0) return Status::complete;
  }
}

RequestParser::Status RequestParser::parse_inline(char* input, std::size_t size) noexcept {
  const void* const found = std::memchr(input, '\n', size);
  if (found == nullptr) {
    if (size > line_bytes_max) return reject("Protocol error: too big inline request");
    return need(1);
  }
  char* const newline = input + (static_cast<const char*>(found) - input);
  char* const end = newline != input && newline[-1] == '\r' ? newline - 1 : newline;
  position_ = static_cast<std::size_t>(newline - input) + 1;
  if (!split_inline(input, end)) return reject("Protocol error: unbalanced quotes in request");
  return Status::complete;
}

/// Splits a line into words like a shell would (sdssplitargs), unescaping in place: a word never grows.
/// False if a quote is not closed, or is followed by something other than a space.
bool RequestParser::split_inline(char* at, char* end) {
  if (const void* nul = std::memchr(at, '\0', static_cast<std::size_t>(end - at)); nul != nullptr) {
    end = at + (static_cast<const char*>(nul) - at);
  }
  for (;;) {
    while (at < end && is_space(*at)) ++at;
    if (at == end) return true;
    char* const word = at;
    char* to = at;
    char quote = '\0';
    for (;; ++at) {
      if (at == end) {
        if (quote != '\0') return false;
        break;
      }
      if (quote == '\0') {
        if (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') break;
        if (*at == '"' || *at == '\'') {
          quote = *at;
        } else {
          *to++ = *at;
        }
      } else if (*at == quote) {
        if (at + 1 < end && !is_space(at[1])) return false;
        ++at;
        break;
      } else if (quote == '"' && end - at >= 4 && at[0] == '\\' && at[1] == 'x' && is_hex(at[2]) &&
                 is_hex(at[3])) {
        *to++ = static_cast<char>(hex_value(at[2]) * 16 + hex_value(at[3]));
        at += 3;
      } else if (quote == '"' && *at == '\\' && at + 1 < end) {
        *to++ = unescape(*++at);
      } else if (quote == '\'' && *at == '\\' && at + 1 < end && at[1] == '\'') {
        *to++ = '\'';
        ++at;
      } else {
        *to++ = *at;
      }
    }
    arguments_.emplace_back(word, static_cast<std::size_t>(to - word));
  }
}

}  // namespace ashlar::resp

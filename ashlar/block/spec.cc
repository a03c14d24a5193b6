/// Grammar of a spec, as a recursive descent:
///
///   spec    = kind ( ":" target | "(" spec *( "," spec ) ")" ) [ "?" option *( "&" option ) ]
///   kind    = ( a-z | 0-9 | "-" )+
///   target  = quoted | any text without '?' and, inside a layer, without ',' and ')'
///   option  = name [ "=" ( quoted | text without '&' and, inside a layer, without ',' and ')' ) ]

#include "ashlar/block/spec.h"

#include <algorithm>

#include <fmt/format.h>

namespace ashlar {

namespace {

constexpr std::size_t spec_bytes_max = 64 << 10;
constexpr unsigned depth_max = 16;
constexpr std::size_t children_max = 64;

constexpr bool is_name(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

class Parser {
 public:
  explicit Parser(std::string_view text) noexcept : text_(text) {}

  SpecResult<Spec> whole() {
    auto parsed = spec(0);
    if (!parsed) return parsed;
    spaces();
    if (at_ != text_.size()) return wrong("nothing may follow the device");
    return parsed;
  }

 private:
  static std::string quote(char c) {
    const auto code = static_cast<unsigned char>(c);
    return code >= 0x20 && code < 0x7f ? fmt::format("'{}'", c) : fmt::format("byte 0x{:02x}", code);
  }
  std::unexpected<SpecError> wrong(std::string message) const { return wrong(std::move(message), at_); }
  static std::unexpected<SpecError> wrong(std::string message, std::size_t at) {
    return std::unexpected(SpecError{std::move(message), at});
  }

  bool end() const noexcept { return at_ == text_.size(); }
  char peek() const noexcept { return end() ? '\0' : text_[at_]; }
  bool take(char c) noexcept {
    if (end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void spaces() noexcept {
    while (!end() && text_[at_] == ' ') ++at_;
  }
  std::string_view name() noexcept {
    const std::size_t from = at_;
    while (!end() && is_name(text_[at_])) ++at_;
    return text_.substr(from, at_ - from);
  }

  SpecResult<Spec> spec(unsigned depth) {
    spaces();
    if (depth > depth_max) return wrong(fmt::format("layers are nested deeper than {}", depth_max));
    Spec parsed;
    parsed.at = at_;
    parsed.kind = name();
    if (parsed.kind.empty())
      return wrong(end() ? "a device is missing, such as uring:PATH"
                         : "a device begins with its kind, such as uring:PATH");
    if (take('(')) {
      parsed.layer = true;
      if (auto done = children(parsed, depth); !done) return std::unexpected(done.error());
    } else if (take(':')) {
      parsed.target_at = at_;
      auto target = text(depth, "?");
      if (!target) return std::unexpected(target.error());
      parsed.target = *std::move(target);
    } else {
      return wrong(
          end() ? fmt::format("'{0}' is followed by ':' and its target, or by '(' and devices", parsed.kind)
                : fmt::format("{} does not belong into a kind of device", quote(peek())));
    }
    if (take('?')) {
      if (auto done = options(parsed, depth); !done) return std::unexpected(done.error());
    }
    parsed.text = text_.substr(parsed.at, at_ - parsed.at);
    return parsed;
  }

  SpecResult<void> children(Spec& parent, unsigned depth) {
    do {
      auto child = spec(depth + 1);
      if (!child) return std::unexpected(child.error());
      if (parent.children.size() == children_max)
        return wrong(fmt::format("more than {} devices in one layer", children_max), child->at);
      parent.children.push_back(*std::move(child));
      spaces();
    } while (take(','));
    if (!take(')')) return wrong(fmt::format("')' or ',' is missing: '{}(' is open", parent.kind));
    return {};
  }

  SpecResult<void> options(Spec& parent, unsigned depth) {
    do {
      SpecOption option;
      option.at = at_;
      option.name = name();
      if (option.name.empty()) return wrong("the name of an option is missing");
      for (const SpecOption& other : parent.options) {
        if (other.name == option.name)
          return wrong(fmt::format("'{}' is given twice", option.name), option.at);
      }
      option.value_at = at_;
      option.value = "true";
      if (take('=')) {
        option.value_at = at_;
        auto value = text(depth, "&");
        if (!value) return std::unexpected(value.error());
        option.value = *std::move(value);
      }
      parent.options.push_back(std::move(option));
    } while (take('&'));
    return {};
  }

  /// Quoted, or up to one of `stops`; inside a layer also up to what ends a device there.
  SpecResult<std::string> text(unsigned depth, std::string_view stops) {
    if (peek() == '"') return quoted();
    const std::size_t from = at_;
    while (!end() && !stops.contains(text_[at_]) && (depth == 0 || (text_[at_] != ',' && text_[at_] != ')')))
      ++at_;
    std::string_view found = text_.substr(from, at_ - from);
    while (depth != 0 && found.ends_with(' ')) found.remove_suffix(1);
    return std::string(found);
  }

  SpecResult<std::string> quoted() {
    const std::size_t from = at_++;
    std::string found;
    while (!end() && peek() != '"') {
      if (take('\\') && end()) break;
      found += text_[at_++];
    }
    if (!take('"')) return wrong("a quote is open", from);
    return found;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

SpecResult<Spec> parse_spec(std::string_view text) {
  if (text.size() > spec_bytes_max)
    return std::unexpected(SpecError{"a device's name is longer than 64 KiB", 0, Errc::too_large});
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos)
    return std::unexpected(SpecError{"a device's name contains a zero byte", zero});
  return Parser(text).whole();
}

std::string SpecError::show(std::string_view spec) const {
  const std::size_t column = std::min(at, spec.size());
  return fmt::format("{}\n{:>{}} {}", spec, "^", column + 1, message);
}

std::string quote_target(std::string_view text) {
  if (text.find_first_of("?&,()\"\\ ") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace ashlar

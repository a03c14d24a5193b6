// JSON lines: an object a line, of text and numbers. Empty lines are passed over.

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "ashlar/app/base64.h"
#include "ashlar/app/json.h"
#include "ashlar/app/text_input.h"
#include "ashlar/app/utf8.h"
#include "ashlar/kv/family.h"
#include "ashlar/kv/key.h"

namespace ashlar::app {
namespace {

using nlohmann::json;

// A value of the greatest size, every byte of it escaped, and the rest.
constexpr std::size_t line_bytes_max = 7 * kv::value_bytes_max;

void append_member(std::string& to, std::string_view name, const std::string& bytes) {
  if (to.back() != '{') to += ',';
  if (is_utf8(bytes)) {
    to += fmt::format("\"{}\":", name);
    append_json_string(to, bytes);
  } else {
    to += fmt::format("\"{}_base64\":\"{}\"", name, encode_base64(bytes));
  }
}

/// The characters of a line, and how far the parser has come.
class Characters {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Characters(const char* at, const char** reached) noexcept : at_(at), reached_(reached) {}
  reference operator*() const noexcept { return *at_; }
  Characters& operator++() noexcept {
    *reached_ = ++at_;
    return *this;
  }
  Characters operator++(int) noexcept {
    const Characters before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Characters& other) const noexcept { return at_ == other.at_; }
  bool operator!=(const Characters& other) const noexcept { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

/// Takes the one object of a line.
class Members final : public nlohmann::json_sax<json> {
 public:
  explicit Members(Record& record) noexcept : record_(record) {}

  const std::string& why() const noexcept { return why_; }
  bool has_key() const noexcept { return (seen_ & key_member) != 0; }

  bool start_object(std::size_t) override { return ++depth_ == 1 || refuse("an object within the object"); }
  bool end_object() override { return true; }
  bool key(std::string& name) override {
    struct Known {
      std::string_view name;
      unsigned member;
      bool base64;
    };
    constexpr Known known[] = {{"family", family_member, false},     {"key", key_member, false},
                               {"key_base64", key_member, true},     {"value", value_member, false},
                               {"value_base64", value_member, true}, {"expires_ms", expires_member, false}};
    for (const Known& one : known) {
      if (one.name != name) continue;
      if ((seen_ & one.member) != 0) return refuse(fmt::format("'{}' is there twice", name));
      seen_ |= one.member;
      member_ = one.member;
      base64_ = one.base64;
      return true;
    }
    return refuse("a member that is none of key, value, family, expires_ms, key_base64, value_base64");
  }
  bool string(std::string& text) override {
    if (depth_ == 0) return refuse("no object");
    if (member_ == expires_member) return refuse("expires_ms is a number of milliseconds since 1970");
    if (base64_) {
      auto bytes = decode_base64(text);
      if (!bytes) return refuse("no base64");
      text = *std::move(bytes);
    }
    const bool value = member_ == value_member, key = member_ == key_member;
    const std::size_t limit = value ? kv::value_bytes_max
                              : key ? kv::user_key_bytes_max
                                    : kv::family_name_bytes_max;
    if (text.size() > limit) return refuse(fmt::format("more than {} bytes", limit));
    (value ? record_.value : key ? record_.key : record_.family) = std::move(text);
    return true;
  }
  bool number_unsigned(std::uint64_t number) override {
    if (depth_ == 0 || member_ != expires_member) return refuse("a number where text is wanted");
    record_.expires_ms = number;
    return true;
  }
  bool number_integer(std::int64_t) override { return refuse("a negative number"); }
  bool number_float(double, const std::string&) override { return refuse("a number that is not whole"); }
  bool null() override { return refuse("null: leave the member out"); }
  bool boolean(bool) override { return refuse("neither text nor number"); }
  bool binary(json::binary_t&) override { return refuse("neither text nor number"); }
  bool start_array(std::size_t) override { return refuse("neither text nor number"); }
  bool end_array() override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("no JSON");
  }

 private:
  static constexpr unsigned family_member = 1, key_member = 2, value_member = 4, expires_member = 8;

  bool refuse(std::string why) {
    why_ = std::move(why);
    return false;
  }

  Record& record_;
  unsigned depth_ = 0, seen_ = 0, member_ = 0;
  bool base64_ = false;
  std::string why_;
};

class JsonLinesReader final : public RecordReader {
 public:
  explicit JsonLinesReader(ReadBytes read) : in_(std::move(read)) {}

  std::expected<bool, BadRecord> next(Record& record) override {
    do {
      line_ = in_.line();
      if (auto read = read_line(); !read || !*read) return read;
    } while (text_.find_first_not_of(" \t\r") == text_.npos);
    record = {};
    Members members(record);
    const char* reached = text_.data();
    if (!json::sax_parse(Characters(text_.data(), &reached),
                         Characters(text_.data() + text_.size(), &reached), &members))
      return std::unexpected(
          BadRecord{line_, std::max<std::uint64_t>(reached - text_.data(), 1), members.why()});
    if (!members.has_key()) return std::unexpected(BadRecord{line_, 1, "the line names no key"});
    return true;
  }

 private:
  /// False at the end.
  std::expected<bool, BadRecord> read_line() {
    text_.clear();
    if (!in_.peek())
      return in_.error() ? std::unexpected(in_.bad("")) : std::expected<bool, BadRecord>(false);
    for (auto c = in_.peek(); c; c = in_.peek()) {
      if (text_.size() == line_bytes_max) return std::unexpected(in_.bad("a line longer than any record"));
      in_.skip();
      if (*c == '\n') return true;
      text_ += *c;
    }
    return in_.error() ? std::unexpected(in_.bad("")) : std::expected<bool, BadRecord>(true);
  }

  TextInput in_;
  std::string text_;
};

}  // namespace

void append_json_line(std::string& to, const Record& record) {
  to += '{';
  if (!record.family.empty()) append_member(to, "family", record.family);
  append_member(to, "key", record.key);
  append_member(to, "value", record.value);
  if (record.expires_ms != 0) to += fmt::format(",\"expires_ms\":{}", record.expires_ms);
  to += "}\n";
}

std::unique_ptr<RecordReader> read_json_lines(ReadBytes read) {
  return std::make_unique<JsonLinesReader>(std::move(read));
}

}  // namespace ashlar::app

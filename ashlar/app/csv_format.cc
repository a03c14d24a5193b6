// CSV as RFC 4180 has it. A field is in quotes, and then holds anything, a quote as two; or it ends at the
// next comma or line end. Line ends are CR LF, or LF alone. Empty lines are passed over.

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "ashlar/app/text_input.h"
#include "ashlar/kv/family.h"
#include "ashlar/kv/key.h"

namespace ashlar::app {
namespace {

enum class Column : std::uint8_t { family, key, value, expires_ms };
constexpr std::array<std::string_view, 4> column_names{"family", "key", "value", "expires_ms"};
constexpr std::array<std::size_t, 4> bytes_max{kv::family_name_bytes_max, kv::user_key_bytes_max,
                                               kv::value_bytes_max, 20};
constexpr std::size_t header_bytes_max = 64;

void append_field(std::string& to, std::string_view field) {
  if (field.find_first_of(",\"\r\n") == field.npos) {
    to += field;
    return;
  }
  to += '"';
  for (const char c : field) {
    if (c == '"') to += '"';
    to += c;
  }
  to += '"';
}

class CsvReader final : public RecordReader {
 public:
  explicit CsvReader(ReadBytes read) : in_(std::move(read)) {}

  std::expected<bool, BadRecord> next(Record& record) override {
    if (columns_.empty()) {
      if (auto header = read_header(); !header) return std::unexpected(header.error());
    }
    record = {};
    skip_empty_lines();
    if (!in_.peek())
      return in_.error() ? std::unexpected(in_.bad("")) : std::expected<bool, BadRecord>(false);
    line_ = in_.line();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (auto read = read_field_of(columns_[i], i + 1 == columns_.size(), record); !read)
        return std::unexpected(read.error());
    }
    return true;
  }

 private:
  using Done = std::expected<void, BadRecord>;

  void skip_empty_lines() {
    for (auto c = in_.peek(); c == '\n' || c == '\r'; c = in_.peek()) in_.skip();
  }

  /// The header's fields, one after the other.
  Done read_header() {
    skip_empty_lines();
    for (bool more = true; more;) {
      const std::uint64_t line = in_.line(), column = in_.column();
      std::string name;
      if (auto read = read_field(name, header_bytes_max); !read) return read;
      const auto known = std::find(column_names.begin(), column_names.end(), name);
      const auto which = static_cast<Column>(known - column_names.begin());
      if (known == column_names.end() || std::find(columns_.begin(), columns_.end(), which) != columns_.end())
        return std::unexpected(BadRecord{
            line, column, "the first line names the columns, each once: key, value, family, expires_ms"});
      columns_.push_back(which);
      more = in_.peek() == ',';
      if (more) in_.skip();
    }
    if (std::find(columns_.begin(), columns_.end(), Column::key) == columns_.end())
      return std::unexpected(BadRecord{1, 1, "the first line names no column 'key'"});
    return end_line();
  }

  Done read_field_of(Column which, bool last, Record& record) {
    std::string expires;
    std::string* const fields[] = {&record.family, &record.key, &record.value, &expires};
    const auto index = static_cast<std::size_t>(which);
    const std::uint64_t line = in_.line(), column = in_.column();
    if (auto read = read_field(*fields[index], bytes_max[index]); !read) return read;
    if (which == Column::expires_ms && !expires.empty()) {
      const auto [end, error] =
          std::from_chars(expires.data(), expires.data() + expires.size(), record.expires_ms);
      if (error != std::errc() || end != expires.data() + expires.size())
        return std::unexpected(BadRecord{line, column, "expires_ms is no number of milliseconds since 1970"});
    }
    if (last) return end_line();
    const auto c = in_.peek();
    if (c && *c != ',' && *c != '\n' && *c != '\r')
      return std::unexpected(in_.bad("neither a comma nor a line end behind a quote"));
    if (c != ',')
      return std::unexpected(in_.bad(fmt::format("the line ends before its {} fields", columns_.size())));
    in_.skip();
    return {};
  }

  Done end_line() {
    auto c = in_.peek();
    if (c == '\r') {
      in_.skip();
      c = in_.peek();
    }
    if (!c) return in_.error() ? Done(std::unexpected(in_.bad(""))) : Done();
    if (c != '\n')
      return std::unexpected(in_.bad(fmt::format("more than {} fields in the line", columns_.size())));
    in_.skip();
    return {};
  }

  Done add(std::string& to, char c, std::size_t limit) {
    if (to.size() == limit)
      return std::unexpected(in_.bad(fmt::format("a field of more than {} bytes", limit)));
    to += c;
    in_.skip();
    return {};
  }

  Done read_field(std::string& to, std::size_t limit) {
    if (in_.peek() == '"') return read_quoted(to, limit);
    for (auto c = in_.peek(); c && *c != ',' && *c != '\n' && *c != '\r'; c = in_.peek()) {
      if (*c == '"') return std::unexpected(in_.bad("a quote in a field that does not begin with one"));
      if (auto added = add(to, *c, limit); !added) return added;
    }
    return in_.error() ? Done(std::unexpected(in_.bad(""))) : Done();
  }

  Done read_quoted(std::string& to, std::size_t limit) {
    in_.skip();
    while (const auto c = in_.peek()) {
      if (*c == '"') {
        in_.skip();
        if (in_.peek() != '"') return {};
      }
      if (auto added = add(to, *c, limit); !added) return added;
    }
    return std::unexpected(in_.bad("the file ends inside of quotes"));
  }

  TextInput in_;
  std::vector<Column> columns_;
};

}  // namespace

void append_csv(std::string& to, const Record& record) {
  append_field(to, record.family);
  to += ',';
  append_field(to, record.key);
  to += ',';
  append_field(to, record.value);
  to += ',';
  if (record.expires_ms != 0) to += std::to_string(record.expires_ms);
  to += "\r\n";
}

std::unique_ptr<RecordReader> read_csv(ReadBytes read) {
  return std::make_unique<CsvReader>(std::move(read));
}

}  // namespace ashlar::app

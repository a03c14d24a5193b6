#include "ashlar/blob/directory/file_name.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

namespace ashlar::blob {
namespace {

/// Takes decimal digits from the front of `text`.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::string make(const FileName& file) {
  const auto small = static_cast<std::uint32_t>(file.number);
  switch (file.kind) {
    case FileName::Kind::table: return table_file_name(file.number);
    case FileName::Kind::segment: return segment_file_name({file.log, file.number});
    case FileName::Kind::root: return root_file_name(small);
    case FileName::Kind::new_root: return new_root_file_name(small);
  }
  return {};
}

}  // namespace

std::string table_file_name(std::uint64_t number) {
  return fmt::format("{:010}.table", number);
}
std::string segment_file_name(SegmentName name) {
  return fmt::format("{}.{:010}.log", name.log, name.number);
}
std::string root_file_name(std::uint32_t number) {
  return fmt::format("{}.root", number);
}
std::string new_root_file_name(std::uint32_t number) {
  return fmt::format("{}.root.new", number);
}

std::optional<FileName> parse_file_name(std::string_view name) {
  std::string_view rest = name;
  const auto first = take_number(rest);
  if (!first) return std::nullopt;
  FileName file{.number = *first};
  if (rest == ".table") {
    file.kind = FileName::Kind::table;
  } else if (rest == ".root") {
    file.kind = FileName::Kind::root;
  } else if (rest == ".root.new") {
    file.kind = FileName::Kind::new_root;
  } else {
    if (*first > std::numeric_limits<std::uint32_t>::max() || !rest.starts_with('.')) return std::nullopt;
    rest.remove_prefix(1);
    const auto number = take_number(rest);
    if (!number || rest != ".log") return std::nullopt;
    file = {FileName::Kind::segment, static_cast<std::uint32_t>(*first), *number};
  }
  if (make(file) != name) return std::nullopt;  // one name for each blob
  return file;
}

}  // namespace ashlar::blob

#pragma once

/// Names of files in a store's directory. Format: docs/formats/blob-directory.md, "Files".

#include <optional>
#include <string>
#include <string_view>

#include "ashlar/blob/store.h"

namespace ashlar::blob {

std::string table_file_name(std::uint64_t number);
std::string segment_file_name(SegmentName name);
std::string root_file_name(std::uint32_t number);
std::string new_root_file_name(std::uint32_t number);
constexpr std::string_view lock_file_name = "lock";
constexpr std::string_view reserve_file_name = "reserve";

/// What a file is, by its name.
struct FileName {
  enum class Kind : std::uint8_t { table, segment, root, new_root };
  Kind kind = Kind::table;
  std::uint32_t log = 0;     ///< of a segment
  std::uint64_t number = 0;  ///< of a table, segment or root
};
/// Nothing for a name that the functions above do not make.
std::optional<FileName> parse_file_name(std::string_view name);

}  // namespace ashlar::blob

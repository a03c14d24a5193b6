#pragma once

#include <string_view>

namespace ashlar::resp {

constexpr std::string_view bad_client_name =
    "ERR Client names cannot contain spaces, newlines or special characters.";

constexpr std::size_t client_name_bytes_max = 1024;
constexpr std::string_view long_client_name = "ERR Client names cannot be longer than 1024 bytes";

/// Printable, without spaces: so that a line of CLIENT LIST stays one.
bool valid_client_name(std::string_view name) noexcept;

}  // namespace ashlar::resp

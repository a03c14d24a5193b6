#pragma once

#include <string_view>

namespace ashlar::resp {

constexpr std::string_view bad_client_name =
    "ERR Client names cannot contain spaces, newlines or special characters.";

/// Printable, without spaces: so that a line of CLIENT LIST stays one.
bool valid_client_name(std::string_view name) noexcept;

}  // namespace ashlar::resp

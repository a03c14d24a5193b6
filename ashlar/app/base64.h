#pragma once

/// Base64 (RFC 4648, section 4), with padding.

#include <optional>
#include <string>
#include <string_view>

namespace ashlar::app {

std::string encode_base64(std::string_view bytes);
/// Nothing where it is no base64, in the one form that encode_base64() gives.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace ashlar::app

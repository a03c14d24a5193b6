#pragma once

/// Error replies that several commands share, in Redis' words.

#include <span>
#include <string>
#include <string_view>

#include "ashlar/base/result.h"

namespace ashlar::resp {

constexpr std::string_view not_an_integer = "ERR value is not an integer or out of range";
constexpr std::string_view syntax_error = "ERR syntax error";
constexpr std::string_view key_too_long = "ERR key is longer than 65532 bytes";

/// An Error as a reply, such as "ERR get: corrupt …" or "MISCONF write: no space …".
std::string error_text(const Error& error);
std::string wrong_arity(std::string_view command);
std::string unknown_command(std::span<const std::string_view> arguments);
/// `container` in capitals.
std::string unknown_subcommand(std::string_view word, std::string_view container);

}  // namespace ashlar::resp

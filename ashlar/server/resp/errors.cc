#include "ashlar/server/resp/errors.h"

namespace ashlar::resp {

std::string error_text(const Error& error) {
  switch (error.code) {
    case Errc::no_space:
    case Errc::stopped: return "MISCONF " + error.to_string();  // Redis' code for: it cannot write now
    case Errc::no_memory: return "OOM " + error.to_string();
    default: return "ERR " + error.to_string();
  }
}

std::string wrong_arity(std::string_view command) {
  return "ERR wrong number of arguments for '" + std::string(command) + "' command";
}

namespace {

/// As much as C would see of it, and of that no more than `size_max`.
std::string_view shown_part(std::string_view text, std::size_t size_max) {
  return text.substr(0, text.find('\0')).substr(0, size_max);
}

}  // namespace

std::string unknown_command(std::span<const std::string_view> arguments) {
  constexpr std::size_t shown_bytes_max = 128;
  std::string shown;
  for (const std::string_view argument : arguments.subspan(1)) {
    if (shown.size() >= shown_bytes_max) break;
    const std::string_view part = shown_part(argument, shown_bytes_max - shown.size());
    shown.append("'").append(part).append("' ");
  }
  return "ERR unknown command '" + std::string(shown_part(arguments[0], shown_bytes_max)) +
         "', with args beginning with: " + shown;
}

std::string unknown_subcommand(std::string_view word, std::string_view container) {
  std::string upper(container);
  for (char& c : upper) c = static_cast<char>(c & ~0x20);
  return "ERR unknown subcommand '" + std::string(shown_part(word, 128)) + "'. Try " + upper + " HELP.";
}

}  // namespace ashlar::resp

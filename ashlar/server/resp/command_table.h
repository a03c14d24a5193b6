#pragma once

/// The commands: their names, shapes and keys, and the functions that run them.

#include <cstdint>
#include <span>
#include <string_view>

#include "ashlar/runtime/task/task.h"

namespace ashlar::resp {

class KeyCall;
class SessionCall;
class ServerCall;

/// What COMMAND INFO calls flags, as bits; flag_names has their names in the same order.
enum CommandFlag : std::uint32_t {
  write = 1 << 0,
  readonly = 1 << 1,
  denyoom = 1 << 2,
  admin = 1 << 3,
  noscript = 1 << 4,
  loading = 1 << 5,
  stale = 1 << 6,
  fast = 1 << 7,
  no_auth = 1 << 8,
  allow_busy = 1 << 9,
  no_multi = 1 << 10,
  dangerous = 1 << 11,     // a category, not shown as a flag
  never_queued = 1 << 12,  // by MULTI; not shown
  clears_all = 1 << 13,    // erases every key; not shown
};

enum class CommandGroup : std::uint8_t { generic, string, connection, server, transactions };

/// Where a command runs, which is what kind of function runs it.
enum class Route : std::uint8_t {
  session,  ///< at once, on the connection: no keys
  keys,     ///< where its keys are, on values already looked up
  server,   ///< a task that may visit every shard
};

constexpr std::int8_t any_count = -1;

/// A word that must follow a container command, and how many arguments there are then.
struct SubcommandSpec {
  std::string_view name;  // lower-case
  std::int8_t arity;      // with both names; negative: at least so many
};

struct CommandSpec {
  std::string_view name;  // lower-case
  std::int8_t arity;      // with the name; negative: at least so many
  std::uint32_t flags;
  std::int8_t first_key, last_key, key_step;
  CommandGroup group;
  std::string_view since, summary, complexity;
  std::int8_t blind_at;  // with so many arguments it does not look at stored values; 0: it always does
  Route route;
  union {
    void (*run_session)(SessionCall&);
    void (*run_keys)(KeyCall&);
    Task<> (*run_server)(ServerCall&);
  };
};

inline bool arity_fits(std::int8_t arity, std::size_t argument_count) noexcept {
  const auto count = static_cast<std::ptrdiff_t>(argument_count);
  return arity >= 0 ? count == arity : count >= -arity;
}
inline bool arity_fits(const CommandSpec& spec, std::size_t argument_count) noexcept {
  return arity_fits(spec.arity, argument_count);
}
/// How many keys a command of so many arguments has, and where its i-th key stands.
inline std::size_t key_count(const CommandSpec& spec, std::size_t argument_count) noexcept {
  if (spec.first_key == 0) return 0;
  const auto count = static_cast<std::ptrdiff_t>(argument_count);
  const std::ptrdiff_t last = spec.last_key < 0 ? count + spec.last_key : spec.last_key;
  return last < spec.first_key ? 0 : static_cast<std::size_t>((last - spec.first_key) / spec.key_step + 1);
}
inline std::size_t key_index(const CommandSpec& spec, std::size_t i) noexcept {
  return static_cast<std::size_t>(spec.first_key) + i * static_cast<std::size_t>(spec.key_step);
}

/// The command of that name in any case, or nullptr. A few nanoseconds, no allocation.
const CommandSpec* find_command(std::string_view name) noexcept;
/// What a container command like CLIENT may be followed by; empty for any other.
std::span<const SubcommandSpec> subcommands_of(const CommandSpec& spec) noexcept;
/// All of them, by name.
std::span<const CommandSpec> all_commands() noexcept;

}  // namespace ashlar::resp

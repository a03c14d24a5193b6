#pragma once

/// Lines for the operator, on stderr:
///
///   log::info("shard {}: {} partitions open", shard, count);
///   log::warn("segment {}: {}", number, error);          // an Error formats as its one readable line
///
/// Any thread may log. A line below the level costs one relaxed load and a branch; its arguments are
/// evaluated but not formatted. A line that is written takes a lock and a system call: never log per request.

#include <fmt/core.h>

#include <atomic>
#include <cstdint>

#include "ashlar/base/result.h"

namespace ashlar {
class OptionSet;
}

namespace ashlar::log {

enum class Level : std::uint8_t { trace, debug, info, warn, error, off };

struct LogOptions {
  Level level = Level::info;
  bool timestamps = true;  ///< begin each line with UTC date and time
};
void describe(OptionSet& set, LogOptions& options);

/// Applies to all threads, from the next line on.
void configure(const LogOptions& options);

namespace detail {
inline std::atomic<Level> threshold{Level::info};
void write(Level level, fmt::string_view format, fmt::format_args args) noexcept;
}  // namespace detail

inline bool enabled(Level level) noexcept {
  return level >= detail::threshold.load(std::memory_order_relaxed);
}

template <class... Args>
void line(Level level, fmt::format_string<Args...> format, Args&&... args) noexcept {
  if (enabled(level)) [[unlikely]]
    detail::write(level, format, fmt::make_format_args(args...));
}
template <class... Args>
void trace(fmt::format_string<Args...> format, Args&&... args) noexcept {
  line<Args...>(Level::trace, format, std::forward<Args>(args)...);
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) noexcept {
  line<Args...>(Level::debug, format, std::forward<Args>(args)...);
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) noexcept {
  line<Args...>(Level::info, format, std::forward<Args>(args)...);
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) noexcept {
  line<Args...>(Level::warn, format, std::forward<Args>(args)...);
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) noexcept {
  line<Args...>(Level::error, format, std::forward<Args>(args)...);
}

}  // namespace ashlar::log

template <>
struct fmt::formatter<ashlar::Error> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  auto format(const ashlar::Error& error, fmt::format_context& context) const
      -> fmt::format_context::iterator;
};

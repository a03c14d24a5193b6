#include "ashlar/base/log.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>

#include "ashlar/base/options.h"

namespace ashlar::log {
namespace {

static_assert(static_cast<int>(Level::trace) == SPDLOG_LEVEL_TRACE &&
                  static_cast<int>(Level::error) == SPDLOG_LEVEL_ERROR,
              "levels are passed on by number");

std::unique_ptr<spdlog::formatter> formatter(bool timestamps) {
  return std::make_unique<spdlog::pattern_formatter>(timestamps ? "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v" : "%-7l %v",
                                                     spdlog::pattern_time_type::utc);
}

spdlog::logger& logger() {
  // Never destroyed: threads may log while the process exits.
  static auto* const instance = [] {
    auto* made = new spdlog::logger("ashlar", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_level(spdlog::level::trace);               // `threshold` has filtered already
    made->set_error_handler([](const std::string&) {});  // a closed stderr is no reason to stop
    made->set_formatter(formatter(true));
    return made;
  }();
  return *instance;
}

}  // namespace

void describe(OptionSet& set, LogOptions& options) {
  set.add("log-level", options.level,
          {.names = {"trace", "debug", "info", "warn", "error", "off"},
           .live = true,
           .help = "Least severe line written to stderr"});
  set.add("log-timestamps", options.timestamps, {.help = "Begin each line with the UTC date and time"});
}

void configure(const LogOptions& options) {
  logger().set_formatter(formatter(options.timestamps));
  detail::threshold.store(options.level, std::memory_order_relaxed);
}

void detail::write(Level level, fmt::string_view format, fmt::format_args args) noexcept {
  try {
    fmt::memory_buffer text;
    fmt::vformat_to(std::back_inserter(text), format, args);
    logger().log(static_cast<spdlog::level::level_enum>(level),
                 spdlog::string_view_t(text.data(), text.size()));
  } catch (...) {
    std::fputs("a log line was lost: out of memory\n", stderr);
  }
}

}  // namespace ashlar::log

auto fmt::formatter<ashlar::Error>::format(const ashlar::Error& error, fmt::format_context& context) const
    -> fmt::format_context::iterator {
  const std::string line = error.to_string();
  return std::copy(line.begin(), line.end(), context.out());
}

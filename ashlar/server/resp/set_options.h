#pragma once

/// The options of SET and GETEX, and relative and absolute expiry times.

#include <cstdint>
#include <span>
#include <string_view>

namespace ashlar::resp {

enum class TimeUnit : bool { seconds, milliseconds };
enum class TimeBase : bool { now, epoch };

struct SetOptions {
  bool only_absent = false;   ///< NX
  bool only_present = false;  ///< XX
  bool return_old = false;    ///< GET
  bool keep_expiry = false;   ///< KEEPTTL
  bool persist = false;       ///< PERSIST
  bool has_expiry = false;    ///< EX, PX, EXAT or PXAT, with:
  std::string_view time;      ///< what it says, not yet looked at
  TimeUnit unit = TimeUnit::seconds;
  TimeBase base = TimeBase::now;
};

/// Which of the two commands share the parser: KEEPTTL, NX, XX and GET are SET's, PERSIST is GETEX's.
enum class SetOptionsOf : bool { set, getex };

/// Parses what follows key and value (SET) or key (GETEX). False: a syntax error.
bool parse_set_options(std::span<const std::string_view> arguments, SetOptionsOf kind,
                       SetOptions& options) noexcept;
/// The time of options with an expiry as absolute milliseconds, which may lie in the past but are positive.
/// Returns an empty string, or the error to reply.
std::string_view resolve_expiry(const SetOptions& options, SetOptionsOf kind, std::uint64_t now_ms,
                                std::uint64_t& expiry_ms) noexcept;

/// Turns an expiry argument into absolute milliseconds; false where it overflows.
bool to_absolute_ms(std::int64_t value, TimeUnit unit, TimeBase base, std::uint64_t now_ms,
                    std::int64_t& absolute_ms) noexcept;

/// Compares a keyword as Redis does, letters only, without regard to case. `lower` is lower-case.
bool is_keyword(std::string_view text, std::string_view lower) noexcept;

}  // namespace ashlar::resp

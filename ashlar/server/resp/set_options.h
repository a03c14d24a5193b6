#pragma once

/// The options of SET and GETEX, and relative and absolute expiry times.

#include <cstdint>
#include <span>
#include <string_view>

namespace ashlar::resp {

struct SetOptions {
  bool only_absent = false;    ///< NX
  bool only_present = false;   ///< XX
  bool return_old = false;     ///< GET
  bool keep_expiry = false;    ///< KEEPTTL
  bool persist = false;        ///< PERSIST
  bool has_expiry = false;     ///< EX, PX, EXAT or PXAT
  std::int64_t expiry_ms = 0;  ///< absolute wall clock; may lie in the past; positive
};

/// Which of the two commands share the parser: KEEPTTL, NX, XX and GET are SET's, PERSIST is GETEX's.
enum class SetOptionsOf : bool { set, getex };

/// Parses what follows key and value (SET) or key (GETEX). Returns an empty string, or the error to reply.
std::string_view parse_set_options(std::span<const std::string_view> arguments, SetOptionsOf kind,
                                   std::uint64_t now_ms, SetOptions& options) noexcept;

enum class TimeUnit : bool { seconds, milliseconds };
enum class TimeBase : bool { now, epoch };

/// Turns an expiry argument into absolute milliseconds; false where it overflows.
bool to_absolute_ms(std::int64_t value, TimeUnit unit, TimeBase base, std::uint64_t now_ms,
                    std::int64_t& absolute_ms) noexcept;

/// Compares a keyword as Redis does, letters only, without regard to case. `lower` is lower-case.
bool is_keyword(std::string_view text, std::string_view lower) noexcept;

}  // namespace ashlar::resp

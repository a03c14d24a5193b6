#include "ashlar/base/units.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <span>

namespace ashlar {
namespace {

struct Scale {
  std::string_view name;
  std::uint64_t factor;
};

// Ascending; formatting uses the first `binary_count` and `duration_count` names, parsing all of them.
constexpr Scale byte_scales[] = {
    {"B", 1},
    {"KiB", 1_KiB},
    {"MiB", 1_MiB},
    {"GiB", 1_GiB},
    {"TiB", 1_TiB},
    {"K", 1_KiB},
    {"M", 1_MiB},
    {"G", 1_GiB},
    {"T", 1_TiB},
    {"kB", 1'000},
    {"MB", 1'000'000},
    {"GB", 1'000'000'000},
    {"TB", 1'000'000'000'000},
};
constexpr Scale duration_scales[] = {
    {"ns", 1},
    {"us", 1'000},
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"min", 60'000'000'000},
    {"h", 3'600'000'000'000},
    {"d", 86'400'000'000'000},
};
constexpr auto written_byte_scales = std::span(byte_scales).first<5>();
constexpr auto written_duration_scales = std::span(duration_scales);

Result<std::uint64_t> parse(std::string_view text, std::span<const Scale> scales, bool unit_needed,
                            const char* where) {
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) return fail(Errc::too_large, where);
  if (error != std::errc{}) return fail(Errc::invalid, where);
  const std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  if (unit.empty() && (!unit_needed || number == 0)) return number;
  for (const Scale& scale : scales) {
    if (scale.name != unit) continue;
    std::uint64_t scaled = 0;
    if (__builtin_mul_overflow(number, scale.factor, &scaled)) return fail(Errc::too_large, where);
    return scaled;
  }
  return fail(Errc::invalid, where);
}

std::string format_exact(std::uint64_t value, std::span<const Scale> scales) {
  std::size_t chosen = 0;
  for (std::size_t i = 1; i < scales.size() && value != 0; ++i)
    if (value % scales[i].factor == 0) chosen = i;
  return fmt::format("{}{}", value / scales[chosen].factor, scales[chosen].name);
}

std::string format_rounded(std::uint64_t value, std::span<const Scale> scales) {
  std::size_t chosen = 0;
  while (chosen + 1 < scales.size() && value >= scales[chosen + 1].factor) ++chosen;
  if (chosen == 0) return fmt::format("{} {}", value, scales[0].name);
  const double scaled = static_cast<double>(value) / static_cast<double>(scales[chosen].factor);
  const int decimals = scaled < 9.995 ? 2 : (scaled < 99.95 ? 1 : 0);
  return fmt::format("{:.{}f} {}", scaled, decimals, scales[chosen].name);
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  return parse(text, byte_scales, false, "size");
}

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const std::uint64_t count = TRY(parse(text, duration_scales, true, "duration"));
  if (count > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return fail(Errc::too_large, "duration");
  return std::chrono::nanoseconds(static_cast<std::int64_t>(count));
}

std::string format_bytes(std::uint64_t bytes) {
  return format_exact(bytes, written_byte_scales);
}

std::string format_duration(std::chrono::nanoseconds duration) {
  return format_exact(static_cast<std::uint64_t>(duration.count()), written_duration_scales);
}

std::string approximate_bytes(std::uint64_t bytes) {
  return format_rounded(bytes, written_byte_scales);
}

std::string approximate_duration(std::chrono::nanoseconds duration) {
  return format_rounded(static_cast<std::uint64_t>(duration.count()), written_duration_scales);
}

}  // namespace ashlar

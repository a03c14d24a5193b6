#include "ashlar/kv/lsm/table/filter.h"

#include <algorithm>

namespace ashlar::lsm {

std::uint64_t FilterBuilder::lines() const noexcept {
  const std::uint64_t bits = hashes_.size() * std::uint64_t{bits_per_key_};
  return (bits + 8 * filter_line_bytes - 1) / (8 * filter_line_bytes);
}

void FilterBuilder::finish(std::byte* payload) const noexcept {
  std::fill_n(payload, payload_bytes(), std::byte{0});
  // Fewer probes than the classic 0.69 per bit: within a line, bits fill up unevenly.
  const unsigned probes = std::clamp(bits_per_key_ * 6 / 10, 1u, 16u);
  payload[0] = std::byte{1};
  payload[1] = static_cast<std::byte>(probes);
  store_le(payload + 4, static_cast<std::uint32_t>(lines()));
  for (const std::uint64_t hash : hashes_) {
    std::byte* line = payload + filter_header_bytes + filter_line_bytes * ((hash >> 32) * lines() >> 32);
    auto x = static_cast<std::uint32_t>(hash);
    for (unsigned probe = 0; probe < probes; ++probe, x *= Filter::multiplier) {
      line[x >> 26] |= static_cast<std::byte>(1u << (x >> 23 & 7));
    }
  }
}

Result<Filter> Filter::parse(Bytes payload, ErrorPlace place) noexcept {
  if (payload.size() < filter_header_bytes) return fail(Errc::corrupt, "table filter: size", place);
  if (payload[0] != std::byte{1}) return fail(Errc::unsupported, "table filter: kind", place);
  Filter filter;
  filter.lines_ = payload.data() + filter_header_bytes;
  filter.line_count_ = load_le<std::uint32_t>(payload.data() + 4);
  filter.probes_ = static_cast<std::uint32_t>(payload[1]);
  if (filter.line_count_ == 0 || filter.probes_ == 0 || filter.probes_ > 16 ||
      filter_header_bytes + std::uint64_t{filter.line_count_} * filter_line_bytes != payload.size()) {
    return fail(Errc::corrupt, "table filter: size", place);
  }
  return filter;
}

}  // namespace ashlar::lsm

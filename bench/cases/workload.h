#pragma once

/// Keys and values that both sides of a key-value case use.

#include <fmt/format.h>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "ashlar/base/random.h"

namespace ashlar::bench {

constexpr std::size_t value_bytes = 100;

/// A store is open so long before its durable writes are measured: what opening left to the background is
/// done.
constexpr unsigned warm_up_ms = 1000;

/// key-00000000, key-00000001 …, and an order to ask for them in, each once.
struct Keys {
  explicit Keys(std::uint32_t count) : order(count) {
    for (std::uint32_t i = 0; i < count; ++i) names.push_back(fmt::format("key-{:08}", i));
    std::iota(order.begin(), order.end(), 0u);
    Random random(1);
    for (std::uint32_t i = count; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  }
  std::vector<std::string> names;
  std::vector<std::uint32_t> order;
};

/// Bytes that do not compress.
inline std::string value_of_bytes(std::size_t bytes) {
  Random random(2);
  std::string value(bytes, '\0');
  for (char& each : value) each = static_cast<char>(random.next());
  return value;
}

inline std::string key_of_writer(unsigned writer, std::uint64_t number) {
  return fmt::format("key-{:03}-{:08}", writer, number);
}

}  // namespace ashlar::bench

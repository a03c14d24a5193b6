#pragma once

/// Keys and values that both sides of a key-value case use.

#include <cstdint>
#include <string>
#include <vector>

namespace ashlar::bench {

constexpr std::size_t value_bytes = 100;

/// A store is open so long before its durable writes are measured: what opening left to the background is
/// done.
constexpr unsigned warm_up_ms = 1000;

/// key-00000000, key-00000001 …, and an order to ask for them in, each once.
struct Keys {
  explicit Keys(std::uint32_t count);
  std::vector<std::string> names;
  std::vector<std::uint32_t> order;
};

/// Bytes that do not compress.
std::string value_of_bytes(std::size_t bytes);

std::string key_of_writer(unsigned writer, std::uint64_t number);

}  // namespace ashlar::bench

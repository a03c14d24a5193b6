#pragma once

/// The seed of a randomised test: ASHLAR_SEED, or a fresh one; printed, so that a failure replays.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace ashlar::lsm {

inline std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const char* given = std::getenv("ASHLAR_SEED");
    const std::uint64_t value = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("ASHLAR_SEED=%llu\n", static_cast<unsigned long long>(value));
    return value;
  }();
  return seed;
}

}  // namespace ashlar::lsm

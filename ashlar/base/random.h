#pragma once

/// A small, fast, seedable generator: xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64.
/// The same seed gives the same numbers on every machine and in every version; not for secrets.

#include <bit>
#include <cstdint>
#include <limits>

namespace ashlar {

/// One step of splitmix64: turns a counter or a poor seed into well mixed bits.
constexpr std::uint64_t splitmix64(std::uint64_t& state) noexcept {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// Not thread-safe: one per shard or per test. A UniformRandomBitGenerator.
class Random {
 public:
  using result_type = std::uint64_t;

  constexpr explicit Random(std::uint64_t seed) noexcept {
    for (auto& word : state_) word = splitmix64(seed);
  }

  constexpr std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// Uniform in [0, bound), without bias (Lemire 2019). `bound` must not be 0.
  constexpr std::uint64_t below(std::uint64_t bound) noexcept {
    __extension__ using Wide = unsigned __int128;
    Wide product = Wide{next()} * bound;
    if (static_cast<std::uint64_t>(product) < bound) {
      const std::uint64_t biased = (0 - bound) % bound;
      while (static_cast<std::uint64_t>(product) < biased) product = Wide{next()} * bound;
    }
    return static_cast<std::uint64_t>(product >> 64);
  }

  /// Uniform in [low, high], both included.
  constexpr std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
    const std::uint64_t span = high - low;
    return span == max() ? next() : low + below(span + 1);
  }

  /// Uniform in [0, 1).
  constexpr double fraction() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  /// True once in `n` times on average. `n` must not be 0.
  constexpr bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }

  /// Each magnitude equally likely: a bit width between those of `low` and `high`, then uniform within it.
  constexpr std::uint64_t skewed(std::uint64_t low, std::uint64_t high) noexcept {
    const auto width =
        between(static_cast<unsigned>(std::bit_width(low)), static_cast<unsigned>(std::bit_width(high)));
    const std::uint64_t smallest = width == 0 ? 0 : std::uint64_t{1} << (width - 1);
    const std::uint64_t largest = width == 0 ? 0 : smallest + (smallest - 1);
    return between(smallest > low ? smallest : low, largest < high ? largest : high);
  }

  /// An independent generator, for a part of a test or simulation whose draws must not shift those of others.
  constexpr Random fork() noexcept { return Random(next()); }

  static constexpr std::uint64_t min() noexcept { return 0; }
  static constexpr std::uint64_t max() noexcept { return std::numeric_limits<std::uint64_t>::max(); }
  constexpr std::uint64_t operator()() noexcept { return next(); }

 private:
  std::uint64_t state_[4]{};
};

}  // namespace ashlar

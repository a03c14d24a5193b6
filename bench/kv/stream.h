#pragma once

/// The keys, values and operations of one worker. The same plan, worker and seed give the same ones,
/// whichever engine they are for.

#include <cstdint>
#include <memory>
#include <string_view>

#include "ashlar/base/random.h"
#include "bench/kv/plan.h"

namespace ashlar::bench {

/// "key-00000042": 12 bytes below 10^8, more above. Made in place, because its cost is part of every figure.
class KeyText {
 public:
  explicit KeyText(std::uint64_t number) noexcept;
  operator std::string_view() const noexcept { return {text_, size_}; }

 private:
  char text_[24];
  std::size_t size_;
};

/// Ranks 0 to n − 1, of which rank r has a share of 1 / (r + 1)^0.99 (Gray et al., "Quickly generating
/// billion-record synthetic databases", 1994, which YCSB uses).
class Zipfian {
 public:
  explicit Zipfian(std::uint64_t count);
  std::uint64_t next(Random& random) const noexcept;

 private:
  static constexpr double theta = 0.99;
  double count_, zeta_, eta_, second_;
};

enum class Verb : std::uint8_t { read, update, insert, scan, read_modify_write };

struct Operation {
  Verb verb;
  std::uint64_t key;     ///< its number
  unsigned entries = 0;  ///< of a scan
};

/// Owner: one worker.
class Stream {
 public:
  /// Worker `worker` of plan.workers.
  Stream(const Plan& plan, unsigned worker);

  Operation next() noexcept;
  /// Bytes that do not compress, another stretch of them each time.
  std::string_view value() noexcept;

 private:
  std::uint64_t next_key() noexcept;
  Verb next_verb() noexcept;

  const Plan& plan_;
  Random random_;
  std::shared_ptr<const Zipfian> zipfian_;
  std::uint64_t first_ = 0, last_ = 0;  // this worker's part, for orders that take each key once
  std::uint64_t step_ = 0;
  std::uint64_t inserted_ = 0;
  unsigned worker_;
};

/// The permutation behind `shuffled`: a bijection of [0, count).
std::uint64_t shuffled_key(std::uint64_t position, std::uint64_t count) noexcept;

}  // namespace ashlar::bench

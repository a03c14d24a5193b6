#pragma once

/// Which request meets which fault: chances, drawn from a seed.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/block/request.h"
#include "ashlar/runtime/ops/clock.h"

namespace ashlar {

class OptionSet;

/// Where several hit one request, the first one listed wins; `slow` comes on top of any.
enum class Fault : std::uint8_t {
  read_error,         ///< a read fails
  write_error,        ///< a write, write of zeroes or trim fails, and nothing of it is done
  flush_error,        ///< a flush fails; of what a cache held, the seed decides what is lost
  torn,               ///< a write of several blocks: some are written, and it fails
  torn_acknowledged,  ///< the same, and it is acknowledged
  lost,               ///< a write is acknowledged, and nothing is written
  lost_flush,         ///< a flush is acknowledged, and nothing is flushed
  misdirected,        ///< a write goes elsewhere
  misdirected_read,   ///< a read returns what is elsewhere
  corrupt_write,      ///< one bit of what is written is flipped
  corrupt,            ///< one bit of what is read is flipped
  slow,               ///< a request begins late
  bad_block,          ///< a read met a bad block: not by chance
};
constexpr std::size_t fault_count = 13;
const char* to_string(Fault fault) noexcept;

/// "0", "1", or "3/1000".
struct Chance {
  std::uint64_t hits = 0, of = 1;

  static std::optional<Chance> parse(std::string_view text) noexcept;
  bool happens(Random& random) const noexcept { return hits != 0 && random.below(of) < hits; }
};

struct FaultOptions {
  std::uint64_t seed = 0;
  std::array<std::string, fault_count> chances;  ///< by fault; empty: never
  std::string bad;                               ///< "100-199+500"
  Duration slow_by = std::chrono::seconds(1);
  std::uint64_t cache_bytes = 0;
  bool armed = true;
};
void describe(OptionSet& set, FaultOptions& options);

using FaultChances = std::array<Chance, fault_count>;

/// What becomes of one request.
struct Verdict {
  std::optional<Fault> fault;
  bool slow = false;
  std::uint64_t detail = 0;  ///< decides the rest: which bit, which blocks, where
};

/// Each fault has a generator of its own, so that a further fault does not move the others. The same seed and
/// the same requests in the same order get the same verdicts. Owner: one channel.
class FaultPlan {
 public:
  FaultPlan(const FaultChances& chances, std::uint64_t seed);

  Verdict judge(const Request& request) noexcept;

 private:
  static bool concerns(Fault fault, const Request& request) noexcept;

  FaultChances chances_;
  std::vector<Random> randoms_;  // by fault
};

}  // namespace ashlar

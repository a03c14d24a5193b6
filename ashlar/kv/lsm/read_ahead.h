#pragma once

/// Reads of a run's blocks that go on while the blocks before them are being walked.
///
///  1. A walk that misses a block reads that block alone: it may be a short one.
///  2. From the next one on some are read ahead of the walk: a window of them, which doubles with each window
///     of misses in sequence, up to its limit. So a walk that ends has read about twice what it needed, at
///     most. Half a window at least is on its way or here, into the next table where one ends, and never past
///     the bound; half a window is asked for at a time, neighbours by one read, and the device begins at
///     once.
///  3. Blocks that the cache has are passed over, and many of them in a row halve the window.
///  4. A long walk leaves no traces: from its 32nd block on, what it reads stays out of the cache, as it does
///     from the first on where the caller wants that. A block read ahead is pinned until the walk has it.

#include <deque>
#include <memory>
#include <span>

#include "ashlar/kv/lsm/table_file.h"
#include "ashlar/kv/read.h"
#include "ashlar/runtime/sync/condition.h"

namespace ashlar::lsm {

using kv::Direction;

/// A block of a run: by table, then by block.
struct RunPosition {
  std::uint32_t table = 0;
  std::uint32_t block = 0;
  auto operator<=>(const RunPosition&) const = default;
};

/// How a walk reads from the device.
struct ReadPolicy {
  std::uint64_t ahead_bytes = 1u << 20;  ///< read ahead at most, of each run
  bool fill_cache = true;                ///< what is read may be kept
  std::uint64_t entries = 0;             ///< so many are wanted, all runs together; 0: unknown
  kv::Receipt* receipt = nullptr;        ///< blocks that were walked are counted there
};

/// Blocks read ahead.
struct ReadWindow {
  std::uint32_t first = 0;  ///< from the first miss on
  std::uint32_t most = 16;
  std::uint32_t all =
      ~std::uint32_t{0};  ///< with those before them; twice as many where the walk goes beyond
};

/// Owner shard; belongs to one walk. What is being read when it is destroyed goes on by itself, with its
/// table pinned, in the scope that the table names.
class ReadAhead {
 public:
  /// `last`: the position beyond which nothing is wanted. Tables outlive it.
  ReadAhead(std::span<TableFile* const> tables, Direction direction, RunPosition last, ReadWindow window,
            bool fill_cache) noexcept
      : tables_(tables),
        direction_(direction),
        last_(last),
        fill_cache_(fill_cache),
        window_max_(window.most),
        blocks_max_(window.all),
        window_(window.first) {}
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;
  ~ReadAhead() { drop_until({}, true); }

  /// The walk stands before `at`, which the cache has.
  void hit(RunPosition at);
  /// The walk stands before `at`, which the cache has not; further reads begin. `read_it`: that of `at` too.
  void missed(RunPosition at, bool read_it);

  /// The block at `at` if it was read ahead and is here, without an error.
  std::optional<LoadedBlock> take(RunPosition at);
  /// The block at `at`: waits for it where it is being read, or reads it.
  Task<Result<LoadedBlock>> load(RunPosition at);

 private:
  static constexpr std::uint32_t kept_blocks_max = 32;  // of one walk
  struct Fetch;
  struct Together;

  static Task<> run(Together together);
  void add(RunPosition at, Together& together);
  void start(Together& together);
  void top_up(RunPosition at, Together& together);
  void drop_until(RunPosition at, bool all = false) noexcept;
  bool next(RunPosition& at) const noexcept;
  /// Whether the next block that is read may stay in the cache.
  bool keeps() noexcept { return ++begun_ <= kept_blocks_max && fill_cache_; }
  bool before(RunPosition a, RunPosition b) const noexcept {
    return direction_ == Direction::forward ? a < b : b < a;
  }
  Fetch* front(RunPosition at) noexcept;

  std::span<TableFile* const> tables_;
  Direction direction_;
  RunPosition last_;
  bool fill_cache_;
  std::uint32_t window_max_, blocks_max_;
  std::uint32_t window_;
  std::uint32_t begun_ = 0, hits_in_a_row_ = 0, misses_at_window_ = 0;
  std::optional<RunPosition> missed_at_;
  std::deque<Fetch*> fetches_;  // in the order of the walk
};

}  // namespace ashlar::lsm

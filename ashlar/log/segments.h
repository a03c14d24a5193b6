#pragma once

/// The segments of one log: those that hold records, the one prepared to be next, and those to be reused.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/blob/nudge.h"
#include "ashlar/blob/store.h"
#include "ashlar/log/format.h"
#include "ashlar/log/options.h"
#include "ashlar/runtime/sync/condition.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::wal {

/// Where to begin to look for an index: at the group at `offset`, whose first index is `index`.
struct Mark {
  std::uint64_t index = 0;
  std::uint64_t offset = 0;
};

/// A segment with a header of this log.
struct LiveSegment {
  std::unique_ptr<blob::Segment> blob;
  std::uint64_t generation = 0;
  std::uint64_t end = first_group_offset;  ///< where the next group goes
  std::vector<Mark> marks;  ///< of durable groups; the first is that of the segment's first group
  unsigned readers = 0;     ///< not released while it is read

  std::uint64_t number() const noexcept { return blob->name().number; }
  std::uint64_t room() const noexcept { return blob->bytes() - end; }
  bool written() const noexcept { return !marks.empty(); }
  /// For each durable group in order; keeps one mark in 64 KiB, and all of groups that truncate.
  void mark(std::uint64_t first_index, std::uint64_t offset, bool truncates);
};

/// What recovery found.
struct Recovered {
  std::deque<LiveSegment> live;                        ///< in order; groups go on behind the last one's end
  std::vector<std::unique_ptr<blob::Segment>> unused;  ///< their content is void
  std::uint64_t generation = 0;                        ///< the greatest ever given
  std::uint64_t number = 0;                            ///< the greatest in use
  std::uint64_t ordinal = 0;                           ///< of the last group
  std::uint64_t session = 0;                           ///< of the last group
  std::uint64_t next_index = 1;
  std::uint64_t sequence = 0;  ///< of the last record
  bool closed = false;         ///< the last live segment says so
  std::uint64_t tail = 0;      ///< offset in the last live segment from which on no group is acknowledged
};

/// Prepares the next segment in the background: recycled, or else created; where one lasts for less than a
/// second, another one ahead. Owner: one Log.
/// Invariant: once anything was durable, the live segments hold a durable group; so ordinals and indices go
/// on.
class Segments {
 public:
  Segments(blob::Store& store, std::uint32_t log, const LogOptions& options) noexcept;

  /// Takes over what recovery found, and makes its tail durable; makes the first segment of a log that has
  /// none.
  Task<Result<>> start(Recovered& recovered);
  /// From now on advance() fails where the disk is full, instead of waiting for space.
  void give_up() noexcept;
  /// Ends the background work.
  Task<> stop();

  /// The one that groups are written to.
  LiveSegment& active() noexcept { return live_.back(); }
  std::deque<LiveSegment>& live() noexcept { return live_; }
  const std::deque<LiveSegment>& live() const noexcept { return live_; }
  /// Makes the next segment the active one; waits where it is not ready yet.
  Task<Result<>> advance();
  /// There is no next segment, and no space for one.
  bool starved() const noexcept { return starved_ && !next_; }
  /// Room in the next segment, 0 where there is none yet.
  std::uint64_t next_room() const noexcept { return next_ ? next_->room() : 0; }

  /// Whether the active segment's header says that the log is closed: no group may be written until it says
  /// otherwise.
  bool closed() const noexcept { return closed_; }
  Task<Result<>> mark_closed(std::uint64_t last_ordinal);
  Task<Result<>> mark_open();

  /// Records below `index` are not needed: recycles the segments that hold only such.
  void release(std::uint64_t index) noexcept;

  std::uint64_t created() const noexcept { return created_; }
  std::uint64_t recycled() const noexcept { return recycled_; }
  std::uint64_t waits() const noexcept { return waits_; }

 private:
  Task<> keep_ready();
  Task<Result<LiveSegment>> prepare();
  Task<Result<>> write_header(LiveSegment& segment, std::uint64_t closed);
  Task<Result<LiveSegment>> give_generation(std::unique_ptr<blob::Segment> blob);
  Task<Result<>> write_again(LiveSegment& segment, std::uint64_t from);
  Task<> make_spare();
  Task<Result<std::unique_ptr<blob::Segment>>> create();
  Task<Instant> remove_surplus();
  Task<Result<>> remove(std::unique_ptr<blob::Segment> blob);

  blob::Store& store_;
  std::uint32_t log_;
  LogOptions options_;
  std::deque<LiveSegment> live_;
  std::optional<LiveSegment> next_;
  std::vector<std::unique_ptr<blob::Segment>> unused_;
  std::uint64_t generation_ = 0, number_ = 0;
  std::uint64_t created_ = 0, recycled_ = 0, waits_ = 0;
  Instant advanced_{};    // the active one became that
  bool hurried_ = false;  // the one before did not last
  bool making_spare_ = false;
  Instant looked_{};              // for a surplus
  std::size_t least_unused_ = 0;  // since then
  bool closed_ = false;
  bool starved_ = false;
  bool giving_up_ = false;
  bool stopping_ = false;
  std::optional<Error> failure_;  ///< of the last preparation
  blob::Nudge nudge_;             ///< for keep_ready(): the next one was taken, or some were released
  Condition ready_;               ///< for advance()
  TaskScope scope_;
};

}  // namespace ashlar::wal

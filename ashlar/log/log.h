#pragma once

/// The record log (D11, D12, D14): ordered records, durable in groups. Format: docs/formats/log.md.
///
///   auto log = CO_TRY(co_await Log::open(store, 0, options, first_needed, owner));   // delivers what is
///   there LogPosition at = TRY(log->append({.sequence = s}, parts));                       // ordered; no
///   I/O yet CO_TRY(co_await log->durable(at));                                               // survives
///   power loss
///
/// Append and durability are separate steps, and so are durability and visibility: on_durable() tells the
/// owner what it may show, before anyone who waits resumes.

#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/base/result.h"
#include "ashlar/blob/store.h"
#include "ashlar/log/group_buffer.h"
#include "ashlar/log/options.h"
#include "ashlar/log/record.h"
#include "ashlar/log/segments.h"
#include "ashlar/runtime/sync/condition.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::wal {

/// What became durable: everything up to this record.
struct Progress {
  LogPosition position;
  std::uint64_t sequence = 0;  ///< of the last record
};

/// The engine above a log. Called on the log's shard; may append. on_record() is called
/// during open(), for each record from the first needed on; an error of it ends the opening.
class LogOwner : public RecordVisitor {
 public:
  /// Once per write, before the tasks that wait for it are made ready.
  virtual void on_durable(const Progress& progress) noexcept = 0;
  /// A write failed: what is beyond the last on_durable() is never acknowledged or shown.
  virtual void on_stopped(const Error& why) noexcept = 0;

 protected:
  ~LogOwner() = default;
};

struct LogStats {
  std::uint64_t records = 0, record_bytes = 0;  ///< appended since it was opened
  std::uint64_t writes = 0, write_bytes = 0;    ///< device writes, padding included
  std::uint64_t groups = 0;
  std::uint64_t segments = 0, segment_bytes = 0;  ///< holding records now
  std::uint64_t segments_created = 0, segments_recycled = 0;
  std::uint64_t segment_waits = 0;  ///< writes that had to wait for the next segment
};

/// Owner: one shard. Lifecycle: open(), then close() before the store closes and before the object goes.
/// Invariants: positions are acknowledged in order; a block that holds acknowledged records is not written
/// again; nothing is acknowledged after a failed write until the log is opened anew.
class Log {
 public:
  /// Recovers log `id` of `store`: hands `owner` every record with an index from `first_needed` on (1: all
  /// there are), and goes on behind them. Everything below is treated as released. An empty store is an empty
  /// log. corrupt, with segment and offset, where a record that was durable does not validate or is missing.
  static Task<Result<std::unique_ptr<Log>>> open(blob::Store& store, std::uint32_t id, LogOptions options,
                                                 std::uint64_t first_needed, LogOwner& owner);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// Makes everything appended durable and ends background work. The error of the last write, if it failed.
  Task<Result<>> close();
  /// From now on a write that finds no space fails, and the log stops, instead of waiting for space.
  void give_up_waiting() noexcept { segments_.give_up(); }

  /// Orders a record behind all others: copies `parts`, its payload, once into the open group. No I/O, and no
  /// allocation where the buffers at hand suffice. Written when someone waits for it, when the buffer is
  /// full, or after sync_period. too_large beyond record_bytes_max(); no_space where the disk is full and the
  /// segments at hand are used up; no_memory where memory_bytes wait to be written; stopped after a failed
  /// write.
  Result<LogPosition> append(const RecordHeader& header, std::span<const Bytes> parts) noexcept;
  /// The same for a payload of so many bytes that `fill(std::byte*)` writes where it is to stand.
  template <class Fill>
  Result<LogPosition> append_in_place(const RecordHeader& header, std::uint64_t payload,
                                      Fill&& fill) noexcept {
    fill(TRY(reserve(payload)));
    return commit(header, payload);
  }
  Result<LogPosition> append(const RecordHeader& header, Bytes payload) noexcept {
    return append(header, std::span(&payload, 1));
  }
  /// Voids the records from `index` on; the next append has that index. invalid where it is beyond the next
  /// index.
  Result<LogPosition> truncate_suffix(std::uint64_t index) noexcept;

  /// Someone will wait for `position`: write it as soon as the tasks that are ready now have run.
  void hurry(LogPosition position) noexcept;
  /// `co_await log.durable(position)`: ok once everything up to it survives power loss, `stopped` where it
  /// never will. Does not suspend where it is settled.
  class DurableAwaiter;
  DurableAwaiter durable(LogPosition position) noexcept;

  /// Whether buffers are at hand: false while writes lag behind appends. A writer that can wait does, on
  /// room().
  bool has_room() const noexcept { return queued_bytes_ <= options_.buffer_bytes; }
  /// Closed groups that are not written yet.
  std::uint64_t queued_bytes() const noexcept { return queued_bytes_; }
  /// `while (!log.has_room()) CO_TRY(co_await log.room());`: the next moment when there may be.
  Condition::Wait room() noexcept { return room_.wait(); }

  /// Keeps records: those from its index on are not released while it lives. Without any, all are kept. Goes
  /// before the log.
  class Hold : public ListHook<> {
   public:
    Hold(Log& log, std::uint64_t index) noexcept;
    ~Hold();
    /// Records below `index` are not needed any more. Segments that nobody needs are recycled in the
    /// background.
    void advance(std::uint64_t index) noexcept;
    std::uint64_t index() const noexcept { return index_; }

   private:
    friend class Log;
    Log& log_;
    std::uint64_t index_;
  };

  /// Delivers records [first, last] in order; all must be durable and held (not_found where they are not).
  /// Stops at the first error of `visitor`.
  Task<Result<>> read(std::uint64_t first, std::uint64_t last, RecordVisitor& visitor);

  /// Segments that hold records, the one being written included.
  std::size_t segment_count() const noexcept { return segments_.live().size(); }
  std::uint64_t next_index() const noexcept { return next_index_; }
  LogPosition last() const noexcept;  ///< of the newest record
  /// Everything up to here is durable.
  const Progress& durable_progress() const noexcept { return durable_; }
  const std::optional<Error>& stop_reason() const noexcept { return stop_reason_; }
  std::uint64_t record_bytes_max() const noexcept;  ///< payload of one record at most
  LogStats stats() const noexcept;

 private:
  struct SyncTimer : Timer {
    Log* log = nullptr;
  };

  Log(blob::Store& store, std::uint32_t id, const LogOptions& options, LogOwner& owner);

  Result<std::byte*> reserve(std::uint64_t payload) noexcept;
  LogPosition commit(const RecordHeader& header, std::uint64_t payload) noexcept;
  GroupBuffer* take_buffer(std::uint64_t payload) noexcept;
  void give_back(GroupBuffer* group) noexcept;
  void close_group() noexcept;
  bool has_space(std::uint64_t payload) noexcept;
  bool batch_ready() const noexcept;
  Task<> write_batches();
  Task<Result<>> write_batch();
  void acknowledge(GroupQueue& written, LiveSegment& segment);
  void wake_settled() noexcept;
  void stop(const Error& why) noexcept;
  void release_unheld() noexcept;

  std::uint32_t id_;
  LogOptions options_;
  LogOwner& owner_;
  Segments segments_;

  GroupBuffer* open_ = nullptr;  // takes records
  GroupQueue closed_;            // wait to be written, in order
  GroupQueue free_;
  unsigned free_count_ = 0;
  std::uint64_t buffer_bytes_in_use_ = 0;  // of open, closed and being written
  std::uint64_t queued_bytes_ = 0;         // of closed and being written

  std::uint64_t next_index_ = 1;
  std::uint64_t last_ordinal_ = 0;    // of the newest group, open or not
  std::uint64_t wanted_ordinal_ = 0;  // someone waits for groups up to here
  std::uint64_t session_ = 0;
  std::uint64_t follows_ = 0;  // session of the newest group sealed
  bool closing_ = false;
  Progress durable_;
  std::optional<Error> stop_reason_;

  IntrusiveList<DurableAwaiter> waiting_;  // ascending by group
  Condition work_;                         // for the writer
  Condition room_;
  IntrusiveList<Hold> holds_;
  SyncTimer sync_timer_;
  LogStats stats_;
  TaskScope scope_;
};

/// See Log::durable().
class [[nodiscard]] Log::DurableAwaiter : public ListHook<>, private Waiter {
 public:
  DurableAwaiter(Log& log, LogPosition position) noexcept : log_(log), position_(position) {}
  bool await_ready() const noexcept { return position_ <= log_.durable_.position || log_.stop_reason_; }
  void await_suspend(std::coroutine_handle<> suspended) noexcept;
  Result<> await_resume() const noexcept;

 private:
  friend class Log;
  Log& log_;
  LogPosition position_;
};

inline Log::DurableAwaiter Log::durable(LogPosition position) noexcept {
  return {*this, position};
}

}  // namespace ashlar::wal

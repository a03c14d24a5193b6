#pragma once

/// An embedded database for programs whose threads are their own: every call may be made from any of them,
/// and blocks until it is answered. The database runs its own shards.
///
///   ashlar::Db db = ashlar::Db::open("/var/lib/app").value();
///   db.put("key", "value");                              // durable when it returns
///   auto value = db.get("key");                          // Result<std::optional<std::string>>
///
/// docs/embedding.md: threads, durability, lifetimes, fork and signals.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/error.h"
#include "ashlar/embed/async.h"
#include "ashlar/embed/iterator.h"
#include "ashlar/embed/merge_operator.h"
#include "ashlar/embed/options.h"
#include "ashlar/embed/reader.h"
#include "ashlar/embed/snapshot.h"
#include "ashlar/embed/transaction.h"
#include "ashlar/embed/write_batch.h"

namespace ashlar {

/// Figures of the whole database; those that grow, since it was opened. Bytes and counts.
struct DbStats {
  std::uint32_t partitions = 0;
  std::uint64_t memtable_bytes = 0, memtable_entries = 0;
  std::uint64_t table_count = 0, table_bytes = 0, table_entries = 0;
  std::uint64_t log_bytes = 0;
  std::uint64_t writes = 0, write_bytes = 0;
  std::uint64_t reads_asked = 0, reads_from_device = 0;  ///< asked: of a shard; others were answered in place
  std::uint64_t flushes = 0, compactions = 0, compaction_bytes = 0, stalls = 0;
  std::uint64_t memory_bytes = 0, memory_cap_bytes = 0;  ///< what counts towards the cap, and the cap
  std::uint64_t log_write_bytes = 0, flush_bytes = 0;    ///< written to the log, whole blocks; to tables
  std::uint64_t compaction_read_bytes = 0;
  std::uint64_t compaction_parts = 0;  ///< that jobs were divided into
  std::uint64_t helped_parts = 0;      ///< of them, those that other shards than the partition's worked on
  std::uint64_t compaction_debt_bytes = 0;  ///< estimate of what is still to be written, now
  std::uint64_t delayed_writes = 0;         ///< slowed down, because compaction lags behind
  /// The longest that the engine itself made a write wait: slowed down, and until a memtable was flushed.
  std::chrono::nanoseconds longest_delay{}, longest_stall{};
  std::chrono::nanoseconds longest_log_wait{};  ///< the same until the device had written what the log has
  std::uint64_t failed_jobs = 0;  ///< attempts of flush and compaction that failed; they are repeated
  std::optional<Error> background_error = {};  ///< while the last attempt of one of them has failed
};

struct CheckpointReport {
  std::uint64_t tables = 0, table_bytes = 0;
  std::uint64_t tables_shared = 0;  ///< of them, by hard links; the others were copied
};

/// Thread safety: any thread that is no shard of an Ashlar runtime, but for close() and destruction, which
/// come last. Handles (readers, iterators, snapshots) may outlive it, and then answer `closed`.
///
/// Errors of every call: `closed` after close(); `invalid` in a callback, which runs on a shard; `stopped`
/// for writes after a failed write of the log, until it is opened again; `timed_out` at a deadline that was
/// given; `io` and `corrupt` as the device has it.
class Db {
 public:
  /// `where`: a directory ("dir:PATH" or just the path) or a formatted device ("blob(uring:/dev/nvme0n1)").
  /// `busy` where it is open already, here or in another process; `not_found`; `invalid` for wrong options.
  /// `message`: where it fails, one line with the name of what failed.
  static Result<Db> open(const std::string& where, const DbOptions& options = {},
                         std::string* message = nullptr);
  Db(Db&&) noexcept;
  Db& operator=(Db&&) noexcept;
  ~Db();  ///< close()

  /// Waits for calls that are under way, makes everything durable that was written, and ends the shards.
  /// Errors of that, the second time too. `busy` where this thread holds a PinnedValue.
  Result<> close();

  /// Newest state, durable. For other options, and for many reads, a reader().
  Result<std::optional<std::string>> get(std::string_view key) const { return newest_.get(key); }
  Result<bool> get(std::string_view key, std::string& value) const { return newest_.get(key, value); }
  Reader reader(const ReadOptions& options = {}) const { return Reader(engine_, options); }
  /// In the order of the keys. What memory has not is read from the device together.
  Result<std::vector<std::optional<std::string>>> multi_get(std::span<const std::string_view> keys,
                                                            const ReadOptions& options = {}) const;

  /// Returns once the write is acknowledged at its durability. A key that a transaction has locked is waited
  /// for. `too_large` for a key beyond 65,532 bytes or a value beyond 16 MiB, `no_space`, `no_memory` at the
  /// cap: then nothing was done.
  Result<> put(std::string_view key, std::string_view value, const WriteOptions& options = {});
  /// The key is absent from `expiry_ms` on, in milliseconds since 1970.
  Result<> put_until(std::string_view key, std::string_view value, std::uint64_t expiry_ms,
                     const WriteOptions& options = {});
  Result<> erase(std::string_view key, const WriteOptions& options = {});
  /// Changes the value by the merge operator of the key's family, without reading it: `operand` is what the
  /// operator takes. `unsupported` where the family has none.
  Result<> merge(std::string_view key, std::string_view operand, const WriteOptions& options = {});
  /// Every key of the family from `lower` (included; empty: from the beginning) to `upper` (excluded; empty:
  /// to the end) is absent. One record of the log for each partition, whatever it covers; where there are
  /// several, one after the other: an error in between leaves those before it done, and `on_durable`
  /// uncalled. Bounds are `unsupported` where keys are spread by hash.
  Result<> erase_range(std::string_view lower, std::string_view upper, const WriteOptions& options = {});
  /// All or nothing, also where its keys are of several partitions: then durable, whatever the options say.
  Result<> write(const WriteBatch& batch, const WriteOptions& options = {});
  /// Sets `key` to `desired` (nothing: erases it) if it holds `expected` (nothing: is absent). Whether it
  /// did. `on_durable` hears of what was written, if anything was.
  Result<bool> compare_and_swap(std::string_view key, std::optional<std::string_view> expected,
                                std::optional<std::string_view> desired, const WriteOptions& options = {});

  /// The same without waiting. `done` runs on a shard, soon after or before the call returns: it must be
  /// short, and not wait for this database. An error of the call itself: `done` is not called. Writes that
  /// are under way together are in no order.
  using Done = std::function<void(Result<>)>;
  Result<> put_async(std::string_view key, std::string_view value, Done done,
                     const WriteOptions& options = {});
  Result<> write_async(const WriteBatch& batch, Done done, const WriteOptions& options = {});
  /// The value is valid during the call only.
  using Found = std::function<void(Result<std::optional<std::string_view>>)>;
  Result<> get_async(std::string_view key, Found found, const ReadOptions& options = {}) const;

  /// The same, waited for by a handle of the caller's (async.h), which a call that is under way must not
  /// have. `value` lives until it is ready.
  Result<> put_async(std::string_view key, std::string_view value, PendingPut& put,
                     const WriteOptions& options = {});
  Result<> get_async(std::string_view key, PendingGet& get, const ReadOptions& options = {}) const;

  Result<Iterator> iterate(const IterateOptions& options = {}) const;
  /// One moment of the whole database, whichever partitions its keys are in.
  Result<Snapshot> snapshot() const;
  Result<Transaction> begin(const TransactionOptions& options = {});

  /// Makes a family. What is returned as ok survives power loss. `exists`; `invalid` for a name of no or more
  /// than 255 bytes, and for an unknown merge operator; `no_space` where there are 128.
  Result<Family> create_family(const std::string& name, const FamilyOptions& options = {});
  /// Its keys are gone at once, but to snapshots; their space comes back with compaction. `not_found`.
  Result<> drop_family(const std::string& name);
  Result<std::optional<Family>> family(std::string_view name) const;
  /// But for the one that every database has. In no order.
  Result<std::vector<FamilyDescription>> families() const;

  /// Returns when everything written before, with whatever durability, survives power loss.
  Result<> sync(Deadline deadline = no_deadline);
  /// Returns when everything written before is in tables. At the deadline it goes on without the caller.
  Result<> flush(Deadline deadline = no_deadline);
  /// Flushes, and returns when no compaction is due. At the deadline it goes on without the caller.
  Result<> compact(Deadline deadline = no_deadline);
  /// A second database with what this one holds at one moment, in a directory that is not there yet
  /// (`exists`) or on a formatted device, named as open() has it. In the same file system tables are shared
  /// by hard links. Once ok it survives power loss.
  Result<CheckpointReport> checkpoint(const std::string& where);
  Result<DbStats> stats() const;

  /// With DbOptions::drive, on the thread that opened the database, whose event loop makes these calls; on
  /// others they do nothing.
  ///
  /// Does what the thread's shard has to do, for a millisecond or so. Returns how long the thread may wait
  /// for descriptor() at most, where it has nothing else to do: zero, if more is to be done now;
  /// duration::max().
  std::chrono::nanoseconds poll() noexcept;
  /// The same, and sleeps first, at most so long, where there is nothing to do. Whether anything was done.
  bool run_once(std::chrono::nanoseconds timeout) noexcept;
  /// Readable, level-triggered, when poll() has something to do since it last returned; for epoll and the
  /// like. Not to be read from or closed; it lives until close().
  Result<int> descriptor();

  /// Whether keys are in order across the database: not where `ashlar serve` made it.
  bool ordered() const noexcept;

 private:
  explicit Db(std::shared_ptr<embed::Engine> engine) noexcept;

  std::shared_ptr<embed::Engine> engine_;
  Reader newest_;
};

}  // namespace ashlar

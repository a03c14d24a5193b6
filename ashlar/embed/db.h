#pragma once

/// An embedded database for programs whose threads are their own: every call may be made from any of them,
/// and blocks until it is answered. The database runs its own shards.
///
///   ashlar::Db db = ashlar::Db::open("/var/lib/app").value();
///   db.put("key", "value");                              // durable when it returns
///   auto value = db.get("key");                          // Result<std::optional<std::string>>
///
/// docs/embedding.md: threads, durability, lifetimes, fork and signals.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/error.h"
#include "ashlar/embed/iterator.h"
#include "ashlar/embed/options.h"
#include "ashlar/embed/reader.h"
#include "ashlar/embed/snapshot.h"
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
};

/// Thread safety: any thread that is no shard of an Ashlar runtime, but for close() and destruction, which
/// come last. Handles (readers, iterators, snapshots) may outlive it, and then answer `closed`.
///
/// Errors of every call: `closed` after close(); `invalid` in a callback, which runs on a shard; `stopped`
/// for writes after a failed write of the log, until it is opened again; `io` and `corrupt` as the device has
/// it.
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

  /// Returns once the write is acknowledged at its durability. `too_large` for a key beyond 65,532 bytes or a
  /// value beyond 16 MiB, `no_space`, `no_memory` at the cap: then nothing was done.
  Result<> put(std::string_view key, std::string_view value, const WriteOptions& options = {});
  /// The key is absent from `expiry_ms` on, in milliseconds since 1970.
  Result<> put_until(std::string_view key, std::string_view value, std::uint64_t expiry_ms,
                     const WriteOptions& options = {});
  Result<> erase(std::string_view key, const WriteOptions& options = {});
  /// All or nothing. `unsupported` where its keys are of several partitions.
  Result<> write(const WriteBatch& batch, const WriteOptions& options = {});
  /// Sets `key` to `desired` (nothing: erases it) if it holds `expected` (nothing: is absent). Whether it
  /// did.
  Result<bool> compare_and_swap(std::string_view key, std::optional<std::string_view> expected,
                                std::optional<std::string_view> desired, const WriteOptions& options = {});

  /// The same without waiting. `done` runs on a shard, soon after or before the call returns: it must be
  /// short, and not wait for this database. An error of the call itself: `done` is not called.
  using Done = std::function<void(Result<>)>;
  Result<> put_async(std::string_view key, std::string_view value, Done done,
                     const WriteOptions& options = {});
  Result<> write_async(const WriteBatch& batch, Done done, const WriteOptions& options = {});
  /// The value is valid during the call only.
  using Found = std::function<void(Result<std::optional<std::string_view>>)>;
  Result<> get_async(std::string_view key, Found found, const ReadOptions& options = {}) const;

  Result<Iterator> iterate(const IterateOptions& options = {}) const;
  Result<Snapshot> snapshot() const;

  /// Returns when everything written before, with whatever durability, survives power loss.
  Result<> sync();
  /// Returns when everything written before is in tables.
  Result<> flush();
  /// Flushes, and returns when no compaction is due.
  Result<> compact();
  Result<DbStats> stats() const;

  /// Whether keys are in order across the database: not where `ashlar serve` made it.
  bool ordered() const noexcept;

 private:
  explicit Db(std::shared_ptr<embed::Engine> engine) noexcept;

  std::shared_ptr<embed::Engine> engine_;
  Reader newest_;
};

}  // namespace ashlar

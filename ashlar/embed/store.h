#pragma once

/// The store for programs whose own tasks run on Ashlar's runtime.
///
///   Task<Result<>> app(Shard& shard) {
///     auto store = CO_TRY(co_await Store::open("/var/lib/app"));
///     CO_TRY(co_await store->put("key", "value"));          // durable
///     auto value = CO_TRY(co_await store->get("key"));      // optional<string>
///     kv::StoreTransaction step(store->engine());           // and whatever else kv/store.h has
///     …
///     co_return co_await store->close();
///   }
///
/// docs/embedding.md, "Coroutines".

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ashlar/embed/family.h"
#include "ashlar/embed/options.h"
#include "ashlar/embed/write_batch.h"
#include "ashlar/kv/merge_operator.h"
#include "ashlar/kv/store_transaction.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar {

namespace lsm {
class LsmStore;
}

/// Thread safety: any task of any shard, between open() and close(); these two, families and checkpoints on
/// the shard that opens it. Lifecycle: closed before it is destroyed. What a call refers to (keys, values,
/// batches) lives until it ends. Errors are those of Db (db.h).
class Store {
 public:
  /// As Db::open(), on all shards of the runtime that the calling task is on. Options that are the runtime's
  /// (shards, pin, memory cap, spin) are not looked at.
  static Task<Result<std::unique_ptr<Store>>> open(std::string where, DbOptions options = {},
                                                   std::string* message = nullptr);
  ~Store();
  /// Once nobody uses it any more. Makes everything durable that was written.
  Task<Result<>> close();

  /// What memory answers is found in place, whichever shard has the key.
  Task<Result<std::optional<std::string>>> get(std::string_view key, kv::ReadOptions options = {},
                                               Family family = {});
  /// Wait for locks of transactions, until the deadline.
  Task<Result<>> put(std::string_view key, std::string_view value, kv::WriteOptions options = {},
                     Family family = {}, std::uint64_t expiry_ms = no_expiry);
  /// The first `bytes` of a buffer of this shard's pool. Where the key's partition is on this shard too, the
  /// buffer is taken over, and empty afterwards, rather than copied (kv::Write::buffer).
  Task<Result<>> put(std::string_view key, IoBuffer& value, std::size_t bytes, kv::WriteOptions options = {},
                     Family family = {}, std::uint64_t expiry_ms = no_expiry);
  Task<Result<>> erase(std::string_view key, kv::WriteOptions options = {}, Family family = {});
  Task<Result<>> merge(std::string_view key, std::string_view operand, kv::WriteOptions options = {},
                       Family family = {});
  /// All or nothing, across partitions too: then durable.
  Task<Result<>> write(const WriteBatch& batch, kv::WriteOptions options = {});

  Task<Result<Family>> create_family(std::string name, FamilyOptions options = {});
  Task<Result<>> drop_family(std::string name);
  /// `not_found`.
  Result<Family> family(std::string_view name) const;

  /// Transactions (kv::StoreTransaction), scans over all partitions (its scan()), snapshots (kv::Snapshot),
  /// and partitions themselves.
  kv::Store& engine() noexcept;
  /// Keys as these take them. `too_large`.
  Result<kv::StoredKey> stored(std::string_view key, Family family = {}) const;

 private:
  Store();
  Task<Result<>> write_one(kv::StoredKey key, kv::Write write, kv::WriteOptions options);

  kv::MergeOperators merge_operators_;
  std::unique_ptr<lsm::LsmStore> store_;
};

}  // namespace ashlar

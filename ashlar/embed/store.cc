#include "ashlar/embed/store.h"

#include "ashlar/embed/engine.h"
#include "ashlar/embed/open_settings.h"
#include "ashlar/embed/prepared_batch.h"
#include "ashlar/runtime/memory/epoch.h"
#include "ashlar/runtime/mesh/invoke.h"

namespace ashlar {

namespace {

using Found = Result<std::optional<std::string>>;

/// On the shard of the key's partition, where pins live and die.
Task<Found> get_there(kv::Partition& partition, const kv::StoredKey& key, const kv::ReadOptions& options) {
  const auto value = CO_TRY(co_await partition.get(key, options));
  if (!value) co_return std::nullopt;
  co_return std::string(as_text(value->bytes));
}

}  // namespace

Store::Store() = default;
Store::~Store() = default;

kv::Store& Store::engine() noexcept {
  return *store_;
}

Task<Result<std::unique_ptr<Store>>> Store::open(std::string where, DbOptions options, std::string* message) {
  embed::OpenSettings settings;
  std::unique_ptr<Store> store(new Store);
  const auto failed = [&](const Error& error) {
    if (message != nullptr) *message = settings.describe(error);
    return std::unexpected(error);
  };
  if (const auto read = settings.read(where, options); !read) {
    settings.message = read.error();
    co_return failed({.code = Errc::invalid, .where = "database options"});
  }
  if (const Result<> there = settings.check_there(options); !there) co_return failed(there.error());
  if (const Result<> added = settings.add_operators(store->merge_operators_, options); !added)
    co_return failed(added.error());
  auto home = co_await open_home(settings.location, settings.engine.directory);
  if (!home) {
    settings.message = home.error();
    co_return failed({.code = Errc::not_found, .where = "database device"});
  }
  const unsigned shards = lsm::serving_shards(settings.engine, Shard::current().mesh().shard_count());
  auto opened =
      co_await lsm::LsmStore::open(*std::move(home), settings.engine, shards, &*settings.partitioner);
  if (!opened) co_return failed(opened.error());
  store->store_ = *std::move(opened);
  co_return store;
}

Task<Result<>> Store::close() {
  const Result<> closed = co_await store_->close();
  store_.reset();
  co_return closed;
}

Result<kv::StoredKey> Store::stored(std::string_view key, Family family) const {
  if (key.size() > kv::user_key_bytes_max) return fail(Errc::too_large, "key");
  return store_->stored(as_bytes(key), static_cast<kv::KeyType>(embed::Engine::type_of(family)));
}

Task<Found> Store::get(std::string_view user_key, kv::ReadOptions options, Family family) {
  const kv::StoredKey key = CO_TRY(stored(user_key, family));
  const kv::PartitionId id = store_->partition_of(key);
  lsm::LsmPartition& partition = store_->partition(id);
  if (options.snapshot == nullptr && options.now_ms == 0) {  // which peek() does not look at
    const epoch::Guard guard;
    kv::Peek found;
    if (partition.peek(key, options.durability, found)) {
      if (!found.present) co_return std::nullopt;
      co_return std::string(as_text(found.value));
    }
  }
  co_return co_await invoke(store_->home_of(id), [&] { return get_there(partition, key, options); });
}

Task<Result<>> Store::write_one(kv::StoredKey key, kv::Write write, kv::WriteOptions options) {
  write.key = &key;
  const kv::PartitionId id = store_->partition_of(key);
  kv::Partition& partition = store_->partition(id);
  const ShardId home = store_->home_of(id);
  if (home != Shard::current().id()) write.buffer = nullptr;  // it goes back to this shard's pool
  co_return co_await invoke(home, [&] { return embed::write_when_free(partition, {&write, 1}, options); });
}

Task<Result<>> Store::put(std::string_view key, std::string_view value, kv::WriteOptions options,
                          Family family, std::uint64_t expiry_ms) {
  co_return co_await write_one(CO_TRY(stored(key, family)),
                               {.value = as_bytes(value), .expiry_ms = expiry_ms}, options);
}
Task<Result<>> Store::put(std::string_view key, IoBuffer& value, std::size_t bytes, kv::WriteOptions options,
                          Family family, std::uint64_t expiry_ms) {
  co_return co_await write_one(
      CO_TRY(stored(key, family)),
      {.value = value.bytes().first(bytes), .expiry_ms = expiry_ms, .buffer = &value}, options);
}
Task<Result<>> Store::erase(std::string_view key, kv::WriteOptions options, Family family) {
  co_return co_await write_one(CO_TRY(stored(key, family)), {.value = {}, .kind = kv::Kind::erase}, options);
}
Task<Result<>> Store::merge(std::string_view key, std::string_view operand, kv::WriteOptions options,
                            Family family) {
  co_return co_await write_one(CO_TRY(stored(key, family)),
                               {.value = as_bytes(operand), .kind = kv::Kind::merge}, options);
}

Task<Result<>> Store::write(const WriteBatch& batch, kv::WriteOptions options) {
  embed::PreparedBatch prepared;
  CO_TRY(prepared.read(store_->partitioner(), batch));
  if (prepared.across()) {
    CO_TRY(co_await store_->write(prepared.writes(), options.durability, options.deadline, options.receipt));
    if (options.on_commit != nullptr) options.on_commit->committed({});
    co_return Result<>();
  }
  kv::Partition& partition = store_->partition(prepared.partition());
  co_return co_await invoke(store_->home_of(prepared.partition()),
                            [&] { return embed::write_when_free(partition, prepared.writes(), options); });
}

Task<Result<Family>> Store::create_family(std::string name, FamilyOptions options) {
  const auto made =
      CO_TRY(co_await store_->create_family(std::move(name), CO_TRY(embed::engine_options(options))));
  co_return embed::Engine::family_of(made);
}
Task<Result<>> Store::drop_family(std::string name) {
  return store_->drop_family(std::move(name));
}
Result<Family> Store::family(std::string_view name) const {
  return embed::Engine::family_of(TRY(store_->family(name)));
}

}  // namespace ashlar

/// Writes of Db: to one partition by its queue, across partitions as a transaction.

#include "ashlar/embed/db.h"
#include "ashlar/embed/pending_write.h"
#include "ashlar/kv/transaction.h"

namespace ashlar {

namespace {

std::optional<Bytes> bytes_of(const std::optional<std::string_view>& text) noexcept {
  return text ? std::optional(as_bytes(*text)) : std::nullopt;
}

Result<> write_and_wait(embed::Engine& engine, kv::PartitionId partition, std::span<const kv::Write> writes,
                        const WriteOptions& options) {
  embed::PendingWrite call(options);
  call.partition = partition;
  call.writes = writes;
  TRY(engine.submit_and_wait(engine.home_of(partition), call));
  call.cost.add_up();
  return call.result;
}

Result<> write_one(embed::Engine& engine, std::string_view user_key, kv::Write write,
                   const WriteOptions& options) {
  const kv::StoredKey key = TRY(engine.stored(user_key, options.family));
  write.key = &key;
  return write_and_wait(engine, engine.partitioner().partition_of(key), {&write, 1}, options);
}

Task<Result<bool>> swap(kv::Partition& partition, const kv::StoredKey& key, std::optional<Bytes> expected,
                        std::optional<Bytes> desired, kv::WriteOptions options,
                        const std::function<void(const Result<>&)>& on_durable) {
  auto callback = on_durable ? std::make_unique<embed::DurableCallback>(on_durable) : nullptr;
  options.on_commit = callback.get();
  bool ordered = false;
  auto swapped = co_await kv::compare_and_swap(partition, key, expected, desired, options, &ordered);
  if (ordered) (void)callback.release();  // the partition's
  co_return swapped;
}

}  // namespace

Result<> Db::put(std::string_view key, std::string_view value, const WriteOptions& options) {
  return put_until(key, value, no_expiry, options);
}

Result<> Db::put_until(std::string_view key, std::string_view value, std::uint64_t expiry_ms,
                       const WriteOptions& options) {
  return write_one(*engine_, key, {.value = as_bytes(value), .expiry_ms = expiry_ms}, options);
}

Result<> Db::erase(std::string_view key, const WriteOptions& options) {
  return write_one(*engine_, key, {.value = {}, .kind = kv::Kind::erase}, options);
}

Result<> Db::merge(std::string_view key, std::string_view operand, const WriteOptions& options) {
  return write_one(*engine_, key, {.value = as_bytes(operand), .kind = kv::Kind::merge}, options);
}

Result<> Db::erase_range(std::string_view lower, std::string_view upper, const WriteOptions& options) {
  if (lower.size() > kv::user_key_bytes_max || upper.size() > kv::user_key_bytes_max)
    return fail(Errc::too_large, "key");
  const auto range = embed::StoredRange::of(lower, upper, {}, embed::Engine::type_of(options.family));
  if (range.bounded && !engine_->ordered())
    return fail(Errc::unsupported, "a range of keys: they are spread by hash");
  if (range.first >= range.end) return fail(Errc::invalid, "range of keys");
  const kv::StoredKey first = kv::StoredKey::from_stored(as_bytes(range.first));
  const kv::Write write{.key = &first, .value = as_bytes(range.end), .kind = kv::Kind::erase_range};
  const kv::PartitionId last = engine_->last_partition_below(range.end);
  WriteOptions before_last = options;
  before_last.on_durable = {};
  if (options.on_durable) before_last.durability = Durability::durable;  // what it hears is of all of them
  for (std::uint16_t i = engine_->partition_of(range.first).value; i < last.value; ++i)
    TRY(write_and_wait(*engine_, kv::PartitionId{i}, {&write, 1}, before_last));
  return write_and_wait(*engine_, last, {&write, 1}, options);
}

Result<> Db::write(const WriteBatch& batch, const WriteOptions& options) {
  embed::PreparedBatch prepared;
  TRY(prepared.read(engine_->partitioner(), batch));
  if (!prepared.across()) return write_and_wait(*engine_, prepared.partition(), prepared.writes(), options);
  embed::WriteAcross call(*engine_, prepared.writes(), options);
  TRY(engine_->submit_and_wait(engine_->home_of(prepared.partition()), call));
  call.cost.add_up();
  return call.result;
}

Result<bool> Db::compare_and_swap(std::string_view user_key, std::optional<std::string_view> expected,
                                  std::optional<std::string_view> desired, const WriteOptions& options) {
  const kv::StoredKey key = TRY(engine_->stored(user_key, options.family));
  const kv::PartitionId id = engine_->partitioner().partition_of(key);
  embed::Cost cost(options.receipt);
  auto swapped = engine_->run(engine_->home_of(id), [&] {
    return swap(engine_->open_store().partition(id), key, bytes_of(expected), bytes_of(desired),
                {.durability = options.durability,
                 .deadline = embed::instant_of(options.deadline),
                 .receipt = cost.on_shard()},
                options.on_durable);
  });
  cost.add_up();
  return swapped;
}

}  // namespace ashlar

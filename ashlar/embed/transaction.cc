#include "ashlar/embed/transaction.h"

#include "ashlar/embed/scan.h"
#include "ashlar/embed/transaction_state.h"

namespace ashlar {

namespace embed {

namespace {

static_assert(static_cast<int>(Isolation::serializable) == static_cast<int>(kv::Isolation::serializable));
static_assert(static_cast<int>(Locking::row_locks) == static_cast<int>(kv::Locking::row_locks));

kv::TransactionOptions engine_options(const TransactionOptions& options) noexcept {
  return {.isolation = static_cast<kv::Isolation>(options.isolation),
          .locking = static_cast<kv::Locking>(options.locking),
          .durability = options.durability,
          .lock_wait = options.lock_wait,
          .deadline = instant_of(options.deadline)};
}

Task<Result<std::optional<std::string>>> get_there(kv::StoreTransaction& transaction,
                                                   const kv::StoredKey& key) {
  auto value = CO_TRY(co_await transaction.get(key));
  if (!value) co_return std::nullopt;
  co_return std::move(value->bytes);
}

using Values = std::vector<std::optional<std::string>>;

Task<Result<Values>> multi_get_there(kv::StoreTransaction& transaction,
                                     const std::vector<kv::StoredKey>& keys) {
  auto found = CO_TRY(co_await transaction.multi_get(keys));
  Values values;
  values.reserve(found.size());
  for (auto& each : found) {
    if (each) {
      values.emplace_back(std::move(each->bytes));
    } else {
      values.emplace_back(std::nullopt);
    }
  }
  co_return values;
}

Task<Result<>> write_there(kv::StoreTransaction& transaction, const kv::StoredKey& key,
                           std::string_view value, kv::Kind kind, std::uint64_t expiry_ms) {
  switch (kind) {
    case kv::Kind::put: return transaction.put(key, as_bytes(value), expiry_ms);
    case kv::Kind::merge: return transaction.merge(key, as_bytes(value));
    default: return transaction.erase(key);
  }
}

Task<Result<Transaction::Savepoint>> savepoint_there(kv::StoreTransaction& transaction) {
  co_return transaction.savepoint();
}

Task<Result<>> roll_back_there(kv::StoreTransaction& transaction, Transaction::Savepoint savepoint) {
  if (savepoint > transaction.savepoint()) co_return fail(Errc::invalid, "savepoint: rolled back before");
  transaction.roll_back_to(savepoint);
  co_return Result<>();
}

Task<Result<>> commit_there(OpenTransaction* open, kv::StoreTransaction& transaction) {
  const Result<kv::Sequence> committed = co_await transaction.commit();
  open->end();
  CO_TRY(committed);
  co_return Result<>();
}

}  // namespace

Result<kv::StoreTransaction*> OpenTransaction::live() {
  if (transaction_ == nullptr) return fail(Errc::invalid, "transaction: it has ended");
  for (const Collected& write : collected_)
    transaction_->stage({.key = &write.key,
                         .value = as_bytes(write.value),
                         .kind = write.kind,
                         .expiry_ms = write.expiry_ms});
  collected_.clear();
  return transaction_.get();
}

/// Locks are let go by a task, which may have to ask other shards. The database waits for it.
void OpenTransaction::release() noexcept {
  if (transaction_ != nullptr) port_.spawn(roll_back(std::move(transaction_)));
}

Task<> OpenTransaction::roll_back(std::unique_ptr<kv::StoreTransaction> transaction) {
  co_await transaction->rollback();
}

TransactionState::TransactionState(std::shared_ptr<Engine> engine, const TransactionOptions& options)
    : engine_(std::move(engine)),
      shard_(engine_->any_shard()),
      serializable_(options.isolation == Isolation::serializable),
      locks_(options.locking == Locking::row_locks),
      open_(std::make_shared<OpenTransaction>(engine_->port(shard_))) {}

Result<std::unique_ptr<TransactionState>> TransactionState::begin(std::shared_ptr<Engine> engine,
                                                                  const TransactionOptions& options) {
  std::unique_ptr<TransactionState> state(new TransactionState(std::move(engine), options));
  TRY(state->engine_->run(state->shard_, [&] { return state->begin_there(&options); }));
  return state;
}

TransactionState::~TransactionState() {
  engine_->leave(shard_, std::move(open_));
}

Task<Result<>> TransactionState::begin_there(const TransactionOptions* options) {
  open_->begin(engine_->open_store(), engine_options(*options));
  co_return Result<>();
}

Result<> TransactionState::write(std::string_view user_key, std::string_view value, kv::Kind kind,
                                 std::uint64_t expiry_ms, Family family) {
  TRY(live());
  if (value.size() > kv::value_bytes_max) return fail(Errc::too_large, "value");
  kv::StoredKey key = TRY(engine_->stored(user_key, family));
  if (!locks_) {
    open_->collect(std::move(key), value, kind, expiry_ms);
    return {};
  }
  return run([&](kv::StoreTransaction& there) { return write_there(there, key, value, kind, expiry_ms); });
}

Result<> TransactionState::commit() {
  TRY(live());
  ended_ = true;
  return run([&](kv::StoreTransaction& there) { return commit_there(open_.get(), there); });
}

/// The destructor's message would do, but later than the next call of this thread.
void TransactionState::rollback() noexcept {
  if (ended_) return;
  ended_ = true;
  open_->forget();
  (void)run([&](kv::StoreTransaction& there) -> Task<Result<>> {
    return [](OpenTransaction* open, kv::StoreTransaction* transaction) -> Task<Result<>> {
      co_await transaction->rollback();
      open->end();
      co_return Result<>();
    }(open_.get(), &there);
  });
}

}  // namespace embed

Transaction::Transaction(std::unique_ptr<embed::TransactionState> state) noexcept
    : state_(std::move(state)) {}
Transaction::Transaction(Transaction&&) noexcept = default;
Transaction& Transaction::operator=(Transaction&&) noexcept = default;
Transaction::~Transaction() = default;

Result<std::optional<std::string>> Transaction::get(std::string_view user_key, Family family) {
  const kv::StoredKey key = TRY(state_->engine()->stored(user_key, family));
  return state_->run([&](kv::StoreTransaction& there) { return embed::get_there(there, key); });
}

Result<std::vector<std::optional<std::string>>> Transaction::multi_get(
    std::span<const std::string_view> user_keys, Family family) {
  std::vector<kv::StoredKey> keys;
  keys.reserve(user_keys.size());
  for (const std::string_view key : user_keys) keys.push_back(TRY(state_->engine()->stored(key, family)));
  return state_->run([&](kv::StoreTransaction& there) { return embed::multi_get_there(there, keys); });
}

Result<Iterator> Transaction::iterate(const IterateOptions& options) {
  if (state_->serializable()) return fail(Errc::unsupported, "iterator of a serializable transaction");
  TRY(state_->live());
  auto scan = std::make_unique<embed::Scan>(state_->engine(), state_->open(), state_->shard(), options);
  TRY(scan->start());
  return Iterator(std::move(scan));
}

Result<> Transaction::put(std::string_view key, std::string_view value, std::uint64_t expiry_ms,
                          Family family) {
  return state_->write(key, value, kv::Kind::put, expiry_ms, family);
}
Result<> Transaction::erase(std::string_view key, Family family) {
  return state_->write(key, {}, kv::Kind::erase, no_expiry, family);
}
Result<> Transaction::merge(std::string_view key, std::string_view operand, Family family) {
  return state_->write(key, operand, kv::Kind::merge, no_expiry, family);
}

Result<> Transaction::lock(std::string_view user_key, Family family) {
  const kv::StoredKey key = TRY(state_->engine()->stored(user_key, family));
  return state_->run([&](kv::StoreTransaction& there) { return there.lock(key); });
}

Result<Transaction::Savepoint> Transaction::savepoint() {
  return state_->run(embed::savepoint_there);
}
Result<> Transaction::roll_back_to(Savepoint savepoint) {
  return state_->run([&](kv::StoreTransaction& there) { return embed::roll_back_there(there, savepoint); });
}

Result<> Transaction::commit() {
  return state_->commit();
}
void Transaction::rollback() noexcept {
  state_->rollback();
}

}  // namespace ashlar

#pragma once

/// A transaction of a plain thread: on one shard, which its calls go to. Without row locks, writes are
/// collected here and go there with the next call that needs them.

#include <memory>
#include <string>
#include <vector>

#include "ashlar/embed/engine.h"
#include "ashlar/embed/transaction.h"
#include "ashlar/kv/store_transaction.h"

namespace ashlar::embed {

/// Owner: the transaction's shard.
class OpenTransaction final : public Guest {
 public:
  explicit OpenTransaction(Port& port) noexcept : port_(port) {}
  void begin(kv::Store& store, const kv::TransactionOptions& options) {
    transaction_ = std::make_unique<kv::StoreTransaction>(store, options);
    port_.enter(*this);
  }
  /// `invalid` once it has ended.
  Result<kv::StoreTransaction*> live() noexcept {
    if (transaction_ == nullptr) return fail(Errc::invalid, "transaction: it has ended");
    return transaction_.get();
  }
  /// Ended; iterators may still refer to it.
  void end() noexcept { transaction_.reset(); }
  void release() noexcept override;

 private:
  static Task<> roll_back(std::unique_ptr<kv::StoreTransaction> transaction);

  Port& port_;
  std::unique_ptr<kv::StoreTransaction> transaction_;
};

/// Owner: the transaction's thread.
class TransactionState {
 public:
  static Result<std::unique_ptr<TransactionState>> begin(std::shared_ptr<Engine> engine,
                                                         const TransactionOptions& options);
  TransactionState(const TransactionState&) = delete;
  TransactionState& operator=(const TransactionState&) = delete;
  ~TransactionState();

  const std::shared_ptr<Engine>& engine() const noexcept { return engine_; }
  const std::shared_ptr<OpenTransaction>& open() const noexcept { return open_; }
  ShardId shard() const noexcept { return shard_; }
  bool serializable() const noexcept { return serializable_; }

  Result<> write(std::string_view key, std::string_view value, kv::Kind kind, std::uint64_t expiry_ms,
                 Family family);
  /// Runs `function(kv::StoreTransaction&)`, which returns a Task<Result<T>>, on the shard, after what was
  /// written before.
  template <class Function>
  auto run(Function function) {
    using Value = typename std::invoke_result_t<Function&, kv::StoreTransaction&>::value_type;
    return engine_->run(shard_, [&]() -> Task<Value> { return staged<Value>(*this, function); });
  }
  Result<> commit();
  void rollback() noexcept;

 private:
  struct Collected {
    kv::StoredKey key;
    std::string value;
    kv::Kind kind;
    std::uint64_t expiry_ms;
  };

  TransactionState(std::shared_ptr<Engine> engine, const TransactionOptions& options);
  Task<Result<>> begin_there(const TransactionOptions* options);
  void stage(kv::StoreTransaction& transaction);
  template <class Value, class Function>
  static Task<Value> staged(TransactionState& self, Function& function) {
    kv::StoreTransaction* const transaction = CO_TRY(self.open_->live());
    self.stage(*transaction);
    co_return co_await function(*transaction);
  }

  const std::shared_ptr<Engine> engine_;
  const ShardId shard_;
  const bool serializable_;
  const bool locks_;  // writes go to the shard at once
  std::shared_ptr<OpenTransaction> open_;
  std::vector<Collected> collected_;
  bool ended_ = false;
};

}  // namespace ashlar::embed

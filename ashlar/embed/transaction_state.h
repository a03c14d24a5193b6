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

/// Owner: the transaction's shard; but collect() and forget() are called by the transaction's thread, while
/// no call of it or of its iterators is under way.
class OpenTransaction final : public Guest {
 public:
  explicit OpenTransaction(Port& port) noexcept : port_(port) {}
  void begin(kv::Store& store, const kv::TransactionOptions& options) {
    transaction_ = std::make_unique<kv::StoreTransaction>(store, options);
    port_.enter(*this);
  }
  /// A write that goes to the shard with the next call.
  void collect(kv::StoredKey&& key, std::string_view value, kv::Kind kind, std::uint64_t expiry_ms) {
    collected_.push_back({std::move(key), std::string(value), kind, expiry_ms});
  }
  void forget() noexcept { collected_.clear(); }
  /// With all that was collected. `invalid` once it has ended.
  Result<kv::StoreTransaction*> live();
  /// Ended; iterators may still refer to it.
  void end() noexcept { transaction_.reset(); }
  void release() noexcept override;

 private:
  struct Collected {
    kv::StoredKey key;
    std::string value;
    kv::Kind kind;
    std::uint64_t expiry_ms;
  };
  static Task<> roll_back(std::unique_ptr<kv::StoreTransaction> transaction);

  Port& port_;
  std::unique_ptr<kv::StoreTransaction> transaction_;
  std::vector<Collected> collected_;
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
  /// `invalid` once it has ended.
  Result<> live() const noexcept {
    return ended_ ? fail(Errc::invalid, "transaction: it has ended") : Result<>();
  }

  Result<> write(std::string_view key, std::string_view value, kv::Kind kind, std::uint64_t expiry_ms,
                 Family family);
  /// Runs `function(kv::StoreTransaction&)`, which returns a Task<Result<T>>, on the shard, after what was
  /// written before.
  template <class Function>
  auto run(Function function) {
    using Value = typename std::invoke_result_t<Function&, kv::StoreTransaction&>::value_type;
    return engine_->run(shard_, [&]() -> Task<Value> { return with_live<Value>(*open_, function); });
  }
  Result<> commit();
  void rollback() noexcept;

 private:
  TransactionState(std::shared_ptr<Engine> engine, const TransactionOptions& options);
  Task<Result<>> begin_there(const TransactionOptions* options);
  template <class Value, class Function>
  static Task<Value> with_live(OpenTransaction& open, Function& function) {
    co_return co_await function(*CO_TRY(open.live()));
  }

  const std::shared_ptr<Engine> engine_;
  const ShardId shard_;
  const bool serializable_;
  const bool locks_;  // writes go to the shard at once
  std::shared_ptr<OpenTransaction> open_;
  bool ended_ = false;
};

}  // namespace ashlar::embed

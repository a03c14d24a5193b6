#pragma once

/// A write on its way, with what its options ask for.

#include <memory>

#include "ashlar/embed/engine.h"
#include "ashlar/embed/prepared_batch.h"

namespace ashlar::embed {

/// Calls the program back, and ends itself.
class DurableCallback final : public kv::CommitCallback {
 public:
  explicit DurableCallback(const std::function<void(const Result<>&)>& call) : call_(call) {}
  void committed(const Result<>& result) noexcept override {
    const std::unique_ptr<DurableCallback> self(this);
    call_(result);
  }

 private:
  const std::function<void(const Result<>&)> call_;
};

/// To one partition.
struct PendingWrite : WriteCall {
  explicit PendingWrite(const WriteOptions& with) : cost(with.receipt) {
    options = {.durability = with.durability,
               .deadline = instant_of(with.deadline),
               .on_commit = nullptr,
               .receipt = cost.on_shard()};
    if (with.on_durable) [[unlikely]]
      options.on_commit = callback_ = new DurableCallback(with.on_durable);
  }
  /// The callback is the partition's once the write is ordered.
  ~PendingWrite() {
    if (!ordered) delete callback_;
  }

  Cost cost;

 private:
  DurableCallback* callback_ = nullptr;
};

/// Across partitions: it is durable when it is done, whatever the options say.
struct WriteAcross : Call {
  WriteAcross(Engine& through, std::span<const kv::Write> all, const WriteOptions& with)
      : Call([](Message& message) noexcept {
          auto& call = static_cast<WriteAcross&>(message);
          call.port->spawn(run(&call));
        }),
        engine(through),
        writes(all),
        options(with),
        cost(with.receipt) {}

  Engine& engine;
  std::span<const kv::Write> writes;
  const WriteOptions& options;
  Cost cost;
  Result<> result;

 private:
  static Task<> run(WriteAcross* call) {
    const Result<kv::Sequence> written = co_await call->engine.open_store().write(
        call->writes, call->options.durability, instant_of(call->options.deadline), call->cost.on_shard());
    if (!written) call->result = std::unexpected(written.error());
    as_closed(call->result);
    if (written && call->options.on_durable) call->options.on_durable(call->result);
    call->port->finish(*call);
  }
};

}  // namespace ashlar::embed

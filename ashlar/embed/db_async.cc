/// Calls that do not wait: each is an allocation that its completion frees, on the shard.

#include <memory>

#include "ashlar/embed/db.h"
#include "ashlar/embed/look_up.h"
#include "ashlar/embed/pending_write.h"

namespace ashlar {

namespace {

/// A write with all that it refers to.
struct AsyncWrite : embed::PendingWrite {
  AsyncWrite(const WriteBatch& writes_made, Db::Done on_done, const WriteOptions& with)
      : PendingWrite(with), batch(writes_made), done_(std::move(on_done)) {
    completed = [](Call& call) noexcept {
      const std::unique_ptr<AsyncWrite> self(static_cast<AsyncWrite*>(&call));
      self->cost.add_up();
      self->done_(self->result);
    };
  }
  const WriteBatch batch;
  embed::PreparedBatch prepared;
  Db::Done take_done() { return std::move(done_); }

 private:
  Db::Done done_;
};

struct AsyncWriteAcross {
  AsyncWriteAcross(const WriteBatch& writes_made, Db::Done on_done, const WriteOptions& with)
      : batch(writes_made), done(std::move(on_done)), options(with) {}

  struct SelfCall : embed::WriteAcross {
    using WriteAcross::WriteAcross;
    AsyncWriteAcross* self = nullptr;
  };
  const WriteBatch batch;
  embed::PreparedBatch prepared;
  Db::Done done;
  const WriteOptions options;
  std::optional<SelfCall> call;
};

Result<> write_across(embed::Engine& engine, const WriteBatch& batch, Db::Done done,
                      const WriteOptions& options) {
  auto write = std::make_unique<AsyncWriteAcross>(batch, std::move(done), options);
  TRY(write->prepared.read(engine.partitioner(), write->batch));
  AsyncWriteAcross::SelfCall& call = write->call.emplace(engine, write->prepared.writes(), write->options);
  call.self = write.get();
  call.completed = [](embed::Call& answered) noexcept {
    auto& across = static_cast<AsyncWriteAcross::SelfCall&>(answered);
    const std::unique_ptr<AsyncWriteAcross> self(across.self);
    self->done(across.result);
  };
  TRY(engine.submit(engine.home_of(write->prepared.partition()), call));
  (void)write.release();  // its completion's
  return {};
}

struct AsyncGet {
  AsyncGet(embed::Engine& engine, kv::StoredKey&& which, const ReadOptions& with, Db::Found on_found)
      : key(std::move(which)),
        options(with),
        found(std::move(on_found)),
        call(engine, key, options, take, this) {
    call.self = this;
    call.completed = [](embed::Call& answered) noexcept {
      const std::unique_ptr<AsyncGet> self(static_cast<SelfCall&>(answered).self);
      self->call.cost.settle();
      const Result<bool>& result = self->call.result;
      if (!result) self->found(std::unexpected(result.error()));
      if (result && !*result) self->found(std::nullopt);
    };
  }
  static void take(void* self, Bytes value) {
    auto& own = *static_cast<AsyncGet*>(self);
    own.call.cost.settle();  // the program is answered by this: its receipt may go with it
    own.found(as_text(value));
  }

  struct SelfCall : embed::GetCall {
    using GetCall::GetCall;
    AsyncGet* self = nullptr;
  };
  kv::StoredKey key;
  ReadOptions options;
  Db::Found found;
  SelfCall call;
};

}  // namespace

Result<> Db::put_async(std::string_view key, std::string_view value, Done done, const WriteOptions& options) {
  WriteBatch batch;
  batch.put(key, value, no_expiry, options.family);
  return write_async(batch, std::move(done), options);
}

Result<> Db::write_async(const WriteBatch& batch, Done done, const WriteOptions& options) {
  auto call = std::make_unique<AsyncWrite>(batch, std::move(done), options);
  TRY(call->prepared.read(engine_->partitioner(), call->batch));
  if (call->prepared.across()) return write_across(*engine_, batch, call->take_done(), options);
  call->partition = call->prepared.partition();
  call->writes = call->prepared.writes();
  TRY(engine_->submit(engine_->home_of(call->partition), *call));
  (void)call.release();  // its completion's
  return {};
}

Result<> Db::get_async(std::string_view user_key, Found found, const ReadOptions& options) const {
  kv::StoredKey key = TRY(engine_->stored(user_key, options.family));
  {
    const epoch::Guard guard;
    kv::Peek here;
    if (embed::peek(*engine_, key, options, here)) {
      found(here.present ? std::optional(as_text(here.value)) : std::nullopt);
      return {};
    }
  }
  auto get = std::make_unique<AsyncGet>(*engine_, std::move(key), options, std::move(found));
  TRY(engine_->submit(get->call.home(), get->call));
  (void)get.release();
  return {};
}

}  // namespace ashlar

/// Calls that do not wait: each is an allocation that its completion frees, on the shard.

#include <memory>

#include "ashlar/embed/db.h"
#include "ashlar/embed/look_up.h"
#include "ashlar/embed/prepared_batch.h"

namespace ashlar {

namespace {

/// A write with all that it refers to.
struct AsyncWrite : embed::WriteCall {
  AsyncWrite(const WriteBatch& writes_made, Db::Done on_done)
      : batch(writes_made), done_(std::move(on_done)) {
    completed = [](Call& call) noexcept {
      const std::unique_ptr<AsyncWrite> self(static_cast<AsyncWrite*>(&call));
      self->done_(self->result);
    };
  }
  const WriteBatch batch;
  embed::PreparedBatch prepared;

 private:
  Db::Done done_;
};

struct AsyncGet {
  AsyncGet(embed::Engine& engine, kv::StoredKey&& which, const ReadOptions& with, Db::Found on_found)
      : key(std::move(which)),
        options(with),
        found(std::move(on_found)),
        call(engine, key, options, take, this) {
    call.self = this;
    call.completed = [](embed::Call& answered) noexcept {
      const std::unique_ptr<AsyncGet> self(static_cast<SelfCall&>(answered).self);
      const Result<bool>& result = self->call.result;
      if (!result) self->found(std::unexpected(result.error()));
      if (result && !*result) self->found(std::nullopt);
    };
  }
  static void take(void* self, Bytes value) { static_cast<AsyncGet*>(self)->found(as_text(value)); }

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
  batch.put(key, value);
  return write_async(batch, std::move(done), options);
}

Result<> Db::write_async(const WriteBatch& batch, Done done, const WriteOptions& options) {
  auto call = std::make_unique<AsyncWrite>(batch, std::move(done));
  TRY(call->prepared.read(*engine_, call->batch));
  call->partition = call->prepared.partition();
  call->writes = call->prepared.writes();
  call->durability = options.durability;
  TRY(engine_->submit(engine_->home_of(call->partition), *call));
  (void)call.release();  // its completion's
  return {};
}

Result<> Db::get_async(std::string_view user_key, Found found, const ReadOptions& options) const {
  kv::StoredKey key = TRY(engine_->stored(user_key));
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

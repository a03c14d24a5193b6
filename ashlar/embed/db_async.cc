/// Calls that do not wait: each is an allocation that its completion frees, on the shard.

#include <memory>
#include <variant>

#include "ashlar/embed/db.h"
#include "ashlar/embed/look_up.h"
#include "ashlar/embed/pending_write.h"

namespace ashlar {

namespace {

/// A call that ends what it is part of.
template <class C, class Whole>
struct PartOf : C {
  using C::C;
  Whole* whole = nullptr;
};

/// A write with all that it refers to.
struct AsyncWrite {
  AsyncWrite(const WriteBatch& writes_made, Db::Done on_done, const WriteOptions& with)
      : batch(writes_made), options(with), done(std::move(on_done)) {}

  template <class C, class... Arguments>
  C& make(Arguments&&... arguments) {
    using Made = PartOf<C, AsyncWrite>;
    Made& made = call.emplace<Made>(std::forward<Arguments>(arguments)...);
    made.whole = this;
    made.completed = [](embed::Call& answered) noexcept {
      auto& own = static_cast<Made&>(answered);
      const std::unique_ptr<AsyncWrite> whole(own.whole);
      own.cost.settle();
      whole->done(own.result);
    };
    return made;
  }

  const WriteBatch batch;
  const WriteOptions options;
  embed::PreparedBatch prepared;
  Db::Done done;
  std::variant<std::monostate, PartOf<embed::PendingWrite, AsyncWrite>,
               PartOf<embed::WriteAcross, AsyncWrite>>
      call;
};

struct AsyncGet {
  AsyncGet(embed::Engine& engine, kv::StoredKey&& which, const ReadOptions& with, Db::Found on_found)
      : key(std::move(which)),
        options(with),
        found(std::move(on_found)),
        call(engine, key, options, take, this) {
    call.whole = this;
    call.completed = [](embed::Call& answered) noexcept {
      const std::unique_ptr<AsyncGet> self(static_cast<PartOf<embed::GetCall, AsyncGet>&>(answered).whole);
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

  kv::StoredKey key;
  ReadOptions options;
  Db::Found found;
  PartOf<embed::GetCall, AsyncGet> call;
};

}  // namespace

Result<> Db::put_async(std::string_view key, std::string_view value, Done done, const WriteOptions& options) {
  WriteBatch batch;
  batch.put(key, value, no_expiry, options.family);
  return write_async(batch, std::move(done), options);
}

Result<> Db::write_async(const WriteBatch& batch, Done done, const WriteOptions& options) {
  auto write = std::make_unique<AsyncWrite>(batch, std::move(done), options);
  embed::PreparedBatch& prepared = write->prepared;
  TRY(prepared.read(engine_->partitioner(), write->batch));
  const ShardId home = engine_->home_of(prepared.partition());
  if (prepared.across()) {
    TRY(engine_->submit(home, write->make<embed::WriteAcross>(*engine_, prepared.writes(), write->options)));
  } else {
    auto& call = write->make<embed::PendingWrite>(write->options);
    call.partition = prepared.partition();
    call.writes = prepared.writes();
    TRY(engine_->submit(home, call));
  }
  (void)write.release();  // its completion's
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

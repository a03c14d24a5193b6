#include <deque>

#include "ashlar/embed/db.h"
#include "ashlar/embed/look_up.h"

namespace ashlar {

namespace {

/// What memory did not answer, of one shard.
struct MultiGetCall : embed::Call {
  MultiGetCall(embed::Engine& from, const ReadOptions& with) noexcept
      : Call([](Message& message) noexcept {
          auto& call = static_cast<MultiGetCall&>(message);
          call.port->spawn(run(&call));
        }),
        engine(from),
        options(with),
        cost(with.receipt) {}

  void add(std::size_t index, const kv::StoredKey& key) {
    indexes.push_back(index);
    reads.push_back({.key = &key, .options = {}});
  }
  static Task<> run(MultiGetCall* call);

  embed::Engine& engine;
  const ReadOptions& options;
  embed::Cost cost;
  std::vector<std::size_t> indexes;  // in the caller's order
  std::vector<kv::Read> reads;
  std::vector<std::optional<std::string>>* values = nullptr;
  Result<> result;
};

/// Partition by partition, as the reads stand; those of one partition are read together.
Task<> MultiGetCall::run(MultiGetCall* call) {
  const kv::Partitioner& partitioner = call->engine.partitioner();
  for (std::size_t begin = 0, end = 0; begin < call->reads.size(); begin = end) {
    const kv::PartitionId id = partitioner.partition_of(*call->reads[begin].key);
    for (end = begin; end < call->reads.size() && partitioner.partition_of(*call->reads[end].key) == id;
         ++end)
      call->reads[end].options = embed::engine_options(call->options, call->cost);
    co_await call->engine.open_store().partition(id).multi_get(
        std::span(call->reads).subspan(begin, end - begin));
  }
  for (std::size_t i = 0; i < call->reads.size(); ++i) {
    const auto& found = call->reads[i].result;
    if (!found) {
      call->result = std::unexpected(found.error());
    } else if (*found) {
      (*call->values)[call->indexes[i]].emplace(as_text((*found)->bytes));
    }
  }
  embed::as_closed(call->result);
  call->reads.clear();  // its pins are the shard's
  call->port->finish(*call);
}

}  // namespace

Result<std::vector<std::optional<std::string>>> Db::multi_get(std::span<const std::string_view> keys,
                                                              const ReadOptions& options) const {
  std::vector<std::optional<std::string>> values(keys.size());
  std::vector<kv::StoredKey> stored;
  stored.reserve(keys.size());
  std::deque<MultiGetCall> calls;  // by shard
  std::vector<MultiGetCall*> of_shard(engine_->shards());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const kv::StoredKey& key = stored.emplace_back(TRY(engine_->stored(keys[i], options.family)));
    {
      const epoch::Guard guard;
      kv::Peek found;
      if (embed::peek(*engine_, key, options, found)) {
        if (found.present) values[i].emplace(as_text(found.value));
        continue;
      }
    }
    MultiGetCall*& call = of_shard[engine_->home_of(engine_->partitioner().partition_of(key)).value];
    if (call == nullptr) {
      call = &calls.emplace_back(*engine_, options);
      call->values = &values;
    }
    call->add(i, key);
  }
  TRY(engine_->submit_all_and_wait(of_shard));
  for (MultiGetCall& call : calls) call.cost.add_up();
  for (const MultiGetCall& call : calls) TRY(Result<>(call.result));
  return values;
}

}  // namespace ashlar

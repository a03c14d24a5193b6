#include "ashlar/embed/look_up.h"

namespace ashlar::embed {

void GetCall::arrived() noexcept {
  const kv::PartitionId id = engine.partitioner().partition_of(key);
  kv::Get get = engine.open_store().partition(id).get(key, engine_options(options, cost));
  if (get.await_ready()) {
    answer(get.await_resume());
  } else {
    port->spawn(look_up(this, id));
  }
}

Task<> GetCall::look_up(GetCall* call, kv::PartitionId id) {
  kv::Partition& partition = call->engine.open_store().partition(id);
  call->answer(co_await partition.get(call->key, engine_options(call->options, call->cost)));
}

void GetCall::answer(const Result<std::optional<kv::Value>>& found) noexcept {
  if (!found) {
    result = std::unexpected(found.error());
    as_closed(result);
  } else if (*found) {
    take(into, (*found)->bytes);
    result = true;
  }
  port->finish(*this);
}

}  // namespace ashlar::embed

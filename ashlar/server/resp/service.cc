#include "ashlar/server/resp/service.h"

#include "ashlar/runtime/shard/shard.h"

namespace ashlar::resp {

Service::Service(Cluster& cluster, ShardId shard, const Settings& settings)
    : cluster_(cluster),
      shard_(shard),
      store_partitioner_(cluster.store->partitioner()),
      settings_(settings),
      next_id_(shard.value + 1) {
  for (std::uint32_t id = 0; id < store_partitioner_.partitions(); ++id) {
    const kv::PartitionId partition{static_cast<std::uint16_t>(id)};
    places_.push_back({&cluster.store->partition(partition), cluster.store->home_of(partition)});
  }
}

void Service::enter(Session& session) noexcept {
  session.id = next_id_;
  next_id_ += shards();
  session.connected_at = session.active_at = Shard::current().now();
  session.authenticated = options().password.empty();
  sessions_.push_back(session);
  ++stats_.connections;
}

void Service::leave(Session& session) noexcept {
  session.unlink();
}

}  // namespace ashlar::resp

#pragma once

/// The Redis server of a process: a listener on every shard.
///
///   Server server(store, options, shards);
///   CO_TRY(co_await server.listen());               // on one shard; port() is known from here on
///   CO_TRY(co_await server.serve(stop_event));      // there too; returns when the last client has gone

#include <cstdint>
#include <memory>
#include <vector>

#include "ashlar/kv/store.h"
#include "ashlar/runtime/ops/address.h"
#include "ashlar/runtime/sync/event.h"
#include "ashlar/runtime/task/task.h"
#include "ashlar/server/resp/service.h"

namespace ashlar::resp {

/// Purpose: listens, accepts, drains. Owner: the shard that calls listen() and serve(); on the others it runs
/// by messages. Lifecycle: the store is open before listen() and stays so until serve() has returned.
class Server {
 public:
  Server(kv::Store& store, const RespOptions& options, unsigned shards);
  ~Server();

  /// Takes the address, alone: `busy` where someone has it, `unsupported` for a store not divided by slots.
  Task<Result<>> listen();
  /// Serves on every shard until `stop` is set, then drains: replies under way are sent, no request is begun,
  /// and who has not read its replies within drain_seconds is cut off.
  Task<Result<>> serve(Event& stop);

  std::uint16_t port() const noexcept { return cluster_.port; }
  static constexpr int drain_seconds = 5;

 private:
  struct ShardServer;

  Task<Result<>> start_shard(unsigned shard);
  Task<> end_shards();
  Task<> run_shard(ShardServer& server);
  static Task<> watch_clients(ShardServer& server);
  static void close_hoarders(Service& service, Instant now);

  RespOptions options_;
  Address address_;
  Cluster cluster_;
  std::vector<std::unique_ptr<ShardServer>> shards_;
};

}  // namespace ashlar::resp

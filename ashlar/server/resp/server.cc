#include "ashlar/server/resp/server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "ashlar/base/log.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/accept_stream.h"
#include "ashlar/runtime/sync/deadline.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/server/resp/connection.h"

namespace ashlar::resp {
namespace {

/// Closes a socket and returns when it is closed.
class Close final : public OperationAwaiter {
 public:
  explicit Close(Handle on) noexcept {
    code = OpCode::close;
    handle = on;
  }
  void await_resume() const noexcept {}
};

Task<> serve_client(Service* service, Socket socket) {
  service->cluster().clients.fetch_add(1, std::memory_order_relaxed);
  {
    Connection connection(*service, std::move(socket));
    co_await connection.run();
  }
  service->cluster().clients.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace

/// What a shard has of the server, made and destroyed there.
struct Server::ShardServer {
  ShardServer(Cluster& cluster, ShardId shard, const Settings& settings)
      : service(cluster, shard, settings) {}

  Service service;
  Listener listener;
  Event stop;
};

Server::Server(kv::Store& store, const RespOptions& options, unsigned shards) : options_(options) {
  cluster_.store = &store;
  cluster_.services.resize(shards);
  shards_.resize(shards);
}
Server::~Server() = default;

Task<Result<>> Server::listen() {
  if (cluster_.store->describe().scheme != kv::Partitioner::Scheme::hash) {
    co_return fail(Errc::unsupported, "resp on a store that is not divided by slots");
  }
  Backend& backend = Shard::current().backend();
  address_ = CO_TRY(Address::parse(options_.address));
  if (address_.storage.ss_family == AF_UNIX) co_return fail(Errc::unsupported, "resp on a Unix socket");
  // Listeners that share a port would also share it with another server's: so the port is first taken without
  // sharing, which fails if anyone has it.
  const Handle probe = CO_TRY(backend.listen(address_, {.reuse_port = false}));
  const Result<Address> bound = backend.local_address(probe);
  co_await Close(probe);
  address_.set_port(CO_TRY(bound).port());
  cluster_.port = address_.port();
  cluster_.started_wall_ms = backend.wall_ms();
  for (int i = 0; i < 5; ++i) cluster_.run_id += fmt::format("{:08x}", backend.random() & 0xffff'ffff);
  Result<> started;
  for (unsigned shard = 0; shard < shards_.size() && started; ++shard) {
    started = co_await invoke(ShardId(shard), [this, shard] { return start_shard(shard); });
  }
  if (!started) co_await end_shards();
  co_return started;
}

/// On the shard: its service and listener. No client is accepted before all shards have theirs.
Task<Result<>> Server::start_shard(unsigned shard) {
  auto server = std::make_unique<ShardServer>(cluster_, ShardId(shard), Settings{options_});
  server->listener = CO_TRY(Listener::open(address_, {.reuse_port = true}));
  cluster_.services[shard] = &server->service;
  shards_[shard] = std::move(server);
  co_return Result<>{};
}

Task<Result<>> Server::serve(Event& stop) {
  log::info("resp: serving on {}, {} shard{}", address_.to_string(), shards_.size(),
            shards_.size() == 1 ? "" : "s");
  TaskScope scope;
  const auto on_shard = [](Server* server, unsigned shard) -> Task<> {
    co_await invoke(ShardId(shard), [server, shard] { return server->run_shard(*server->shards_[shard]); });
  };
  for (unsigned shard = 0; shard < shards_.size(); ++shard) scope.spawn(on_shard(this, shard));
  const Result<> stopped = co_await stop.wait();
  log::info("resp: draining {} clients", cluster_.clients.load(std::memory_order_relaxed));
  for (unsigned shard = 0; shard < shards_.size(); ++shard) {
    co_await invoke(ShardId(shard), [this, shard] { shards_[shard]->stop.set(); });
  }
  co_await scope.join();
  co_await end_shards();
  co_return stopped;
}

/// What belongs to a shard ends there.
Task<> Server::end_shards() {
  for (unsigned shard = 0; shard < shards_.size(); ++shard) {
    co_await invoke(ShardId(shard), [this, shard] { shards_[shard].reset(); });
  }
}

Task<> Server::run_shard(ShardServer& server) {
  TaskScope housekeeping, clients;
  const auto accept = [](ShardServer* of, TaskScope* into) -> Task<> {
    AcceptStream accepts(of->listener);
    for (;;) {
      Result<Socket> socket = co_await accepts.next();
      if (socket) {
        into->spawn(serve_client(&of->service, *std::move(socket)), Share::foreground);
      } else if (socket.error().code == Errc::cancelled) {
        break;
      } else {  // out of descriptors or memory: others may close meanwhile
        log::warn("resp: {}", socket.error());
        if (!co_await sleep_for(std::chrono::milliseconds(100))) break;
      }
    }
    co_await accepts.stop();
  };
  housekeeping.spawn(accept(&server, &clients), Share::foreground);
  housekeeping.spawn(watch_clients(server), Share::foreground);
  co_await server.stop.wait();
  housekeeping.cancel();
  co_await housekeeping.join();
  server.service.draining = true;
  server.service.pause().end();
  for (Session& session : server.service.sessions()) session.drain->cancel();
  const Instant deadline = Shard::current().now() + std::chrono::seconds(drain_seconds);
  while (clients.live() != 0 && Shard::current().now() < deadline) {
    co_await sleep_for(std::chrono::milliseconds(1));
  }
  clients.cancel();
  co_await clients.join();
}

/// Once a second: who has been silent, or has not read, for too long.
Task<> Server::watch_clients(ShardServer& server) {
  while (co_await sleep_for(std::chrono::seconds(1))) {
    const Instant now = Shard::current().now();
    const RespOptions& options = server.service.options();
    for (Session& session : server.service.sessions()) {
      const bool sending = session.sending_since != never;
      if (sending && now - session.sending_since > options.send_timeout) {
        session.kill->cancel();
      } else if (!sending && options.idle_timeout.count() != 0 &&
                 now - session.active_at > options.idle_timeout) {
        session.drain->cancel();
      }
    }
    if (Shard::current().memory().cap().full()) close_hoarders(server.service, now);
  }
}

/// The memory cap is reached: closes the clients that hold the most and have not moved for a while, until
/// they make room for this shard's part of what is missing.
void Server::close_hoarders(Service& service, Instant now) {
  std::vector<Session*> hoarders;
  for (Session& session : service.sessions()) {
    const bool moves = now - std::min(session.active_at, session.sending_since) < std::chrono::seconds(1);
    if (session.held_bytes > Connection::held_bytes_at_cap && !moves) hoarders.push_back(&session);
  }
  std::ranges::sort(hoarders, std::greater(), &Session::held_bytes);
  const MemoryCap& cap = Shard::current().memory().cap();
  std::uint64_t missing = cap.cap_bytes() / 8 / service.shards();
  for (Session* session : hoarders) {
    session->kill->cancel();
    if (missing <= session->held_bytes) break;
    missing -= session->held_bytes;
  }
}

}  // namespace ashlar::resp

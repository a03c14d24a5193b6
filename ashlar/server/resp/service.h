#pragma once

/// The server as one shard sees it: its settings, counters and connections; and the shards together.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/kv/store.h"
#include "ashlar/runtime/sync/mutex.h"
#include "ashlar/server/resp/key_call.h"
#include "ashlar/server/resp/pause.h"
#include "ashlar/server/resp/request_group.h"
#include "ashlar/server/resp/resp_options.h"
#include "ashlar/server/resp/session.h"

namespace ashlar::resp {

class Service;

/// Counters of one shard since it started, or since CONFIG RESETSTAT.
struct ServiceStats {
  std::uint64_t connections = 0, rejected_connections = 0;
  std::uint64_t commands = 0, error_replies = 0;
  std::uint64_t input_bytes = 0, output_bytes = 0;
  KeyStats keys;
};

/// What CONFIG SET changes. Each shard has its own copy, changed by message.
struct Settings {
  RespOptions options;
};

/// What all shards share. Made before the shards start and kept until they have ended; constant but for the
/// count.
struct Cluster {
  kv::Store* store = nullptr;
  std::vector<Service*> services;         // by shard; each entered by its shard before the first connection
  std::atomic<std::uint32_t> clients{0};  // of all shards
  std::uint64_t started_wall_ms = 0;
  std::string run_id;  // 40 hexadecimal digits, new at each start
  std::uint16_t port = 0;
};

/// Where a partition is served.
struct Place {
  kv::Partition* partition;
  ShardId home;
};

/// One shard's half of the server. Owner: its shard.
class Service {
 public:
  Service(Cluster& cluster, ShardId shard, const Settings& settings);

  /// The service of another shard: for functions that run there.
  Service& at(ShardId shard) noexcept { return *cluster_.services[shard.value]; }
  Cluster& cluster() noexcept { return cluster_; }
  kv::Store& store() noexcept { return *cluster_.store; }
  /// Where a key is served; a few loads. What store() says, kept close.
  const Place& place_of(const kv::StoredKey& key) const noexcept {
    return places_[store_partitioner_.partition_of(key).value];
  }
  const std::vector<Place>& places() const noexcept { return places_; }
  ShardId shard() const noexcept { return shard_; }
  unsigned shards() const noexcept { return static_cast<unsigned>(cluster_.services.size()); }

  Settings& settings() noexcept { return settings_; }
  const RespOptions& options() const noexcept { return settings_.options; }
  /// Of writes, and of what reads may show.
  kv::Durability durability() const noexcept { return settings_.options.durability; }
  ServiceStats& stats() noexcept { return stats_; }
  ChunkPool& chunks() noexcept { return chunks_; }
  /// For the connection that is running: lasts until it suspends.
  RequestGroup& group() noexcept { return group_; }
  IntrusiveList<Session>& sessions() noexcept { return sessions_; }

  Pause& pause() noexcept { return pause_; }

  /// Registers a connection; the id is unique among all shards.
  void enter(Session& session) noexcept;
  void leave(Session& session) noexcept;

  /// Bytes of requests and replies under way.
  std::size_t buffered_bytes = 0;
  /// Held while CONFIG SET goes from shard to shard; shard 0's.
  Mutex changing_settings;
  /// The server ends: no request is begun any more.
  bool draining = false;

 private:
  static constexpr std::size_t chunks_kept_bytes = 8 << 20;

  Cluster& cluster_;
  ShardId shard_;
  const kv::Partitioner& store_partitioner_;
  std::vector<Place> places_;  // by partition
  Settings settings_;
  ServiceStats stats_;
  ChunkPool chunks_{chunks_kept_bytes, &Shard::current().memory()};
  RequestGroup group_;
  IntrusiveList<Session> sessions_;
  std::uint64_t next_id_;
  Pause pause_;
};

/// A command on the connection itself: no keys, no waiting.
class SessionCall {
 public:
  std::span<const std::string_view> arguments;
  Service& service;
  Session& session;
  ReplyWriter reply;

  std::string_view argument(std::size_t index) const noexcept { return arguments[index]; }
  void fail(std::string_view error) { reply.error(error); }
};

/// A command that may visit other shards. Runs as a task while the connection's later commands wait.
class ServerCall {
 public:
  std::span<const std::string_view> arguments;
  Service& service;
  Session& session;
  ReplyStream& stream;

  std::string_view argument(std::size_t index) const noexcept { return arguments[index]; }
  ReplyWriter reply() noexcept { return stream.writer(session.protocol); }
  void fail(std::string_view error) { reply().error(error); }
};

}  // namespace ashlar::resp

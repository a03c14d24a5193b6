#pragma once

/// A server that speaks to Redis clients, ours or Redis itself, and redis-benchmark to drive it.

#include <cstdint>
#include <memory>
#include <string>

#include "ashlar/base/result.h"
#include "bench/case.h"
#include "bench/process.h"

namespace ashlar::bench {

struct RedisLoad {
  std::string command = "set";  ///< set or get
  unsigned clients = 50;
  unsigned pipeline = 1;
  std::uint64_t requests = 100'000;
};

/// Bound to the first core, with a directory of its own; the client runs on the last. Ends with the object.
class RedisServer {
 public:
  enum class Sync : std::uint8_t { always, none };

  /// `ashlar serve` with one shard. none: `CONFIG SET appendfsync no`, Durability::none.
  static Result<std::unique_ptr<RedisServer>> start_ashlar(const std::string& data, Sync sync);
  /// redis-server. always: an append-only file, fsync always; none: in memory, no snapshots.
  static Result<std::unique_ptr<RedisServer>> start_redis(const std::string& data, Sync sync);

  /// Requests per second, and the server's CPU time for each.
  Result<Sample> run(const RedisLoad& load);
  Process& process() noexcept { return process_; }

  static constexpr unsigned key_space = 100'000;
  static constexpr unsigned value_bytes = 100;

 private:
  RedisServer(std::unique_ptr<ScratchDirectory> directory, Process process, std::uint16_t port)
      : directory_(std::move(directory)), process_(std::move(process)), port_(port) {}
  Result<> wait_until_ready();
  Result<std::string> command(const std::vector<std::string>& words) const;

  std::unique_ptr<ScratchDirectory> directory_;
  Process process_;
  std::uint16_t port_;
};

/// "redis-server 7.0.15", or nothing where it is not installed.
std::string redis_version();

}  // namespace ashlar::bench

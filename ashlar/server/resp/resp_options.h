#pragma once

/// The options of the Redis server.

#include <chrono>
#include <cstdint>
#include <string>

#include "ashlar/kv/key.h"
#include "ashlar/kv/ticket.h"

namespace ashlar {
class OptionSet;
}

namespace ashlar::resp {

struct RespOptions {
  std::string address = "127.0.0.1:6379";
  std::string password;
  bool protected_mode = true;
  std::uint32_t clients_max = 10'000;
  std::uint64_t bulk_bytes_max = kv::value_bytes_max;
  std::uint64_t request_bytes_max = 64u << 20;
  std::uint64_t reply_bytes_max = 256u << 20;
  std::uint64_t shard_buffer_bytes_max = 1u << 30;
  std::chrono::seconds idle_timeout{0};
  std::chrono::seconds send_timeout{60};
  kv::Durability durability = kv::Durability::durable;
};

void describe(OptionSet& set, RespOptions& options);

}  // namespace ashlar::resp

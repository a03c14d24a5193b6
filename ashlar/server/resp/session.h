#pragma once

/// What the server knows about one connection, and what its commands may change.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/kv/partitioner.h"
#include "ashlar/runtime/ops/clock.h"
#include "ashlar/runtime/task/cancel.h"
#include "ashlar/server/resp/command_table.h"
#include "ashlar/server/resp/reply_writer.h"

namespace ashlar::resp {

/// A command queued by MULTI: its arguments outlive the receive buffer.
struct QueuedCommand {
  const CommandSpec* spec;
  std::vector<std::string> arguments;
};

/// A key of WATCH, and what it was like then.
struct WatchedKey {
  std::string key;
  kv::Sequence since;
  std::uint64_t expiry_ms;  // at which it vanishes without a write
};

enum class ReplyMode : std::uint8_t { on, off, skip_next };

/// One connection. Owner: its shard. Lives as long as the connection; registered with the shard's service.
struct Session : ListHook<> {
  std::uint64_t id = 0;
  std::string peer, local;  // "127.0.0.1:50000"
  Instant connected_at{};
  Instant active_at{};
  Instant sending_since = never;
  CancelScope* kill = nullptr;   // ends the connection
  CancelScope* drain = nullptr;  // ends its wait for the next request

  Protocol protocol = Protocol::resp2;
  bool authenticated = false;
  bool close_after_reply = false;
  bool no_evict = false;
  ReplyMode reply_mode = ReplyMode::on;
  std::string name, library_name, library_version;
  const CommandSpec* last_command = nullptr;

  bool in_multi = false;
  bool multi_failed = false;
  std::size_t multi_bytes = 0;  // of `queued` and `watched`
  std::vector<QueuedCommand> queued;
  std::vector<WatchedKey> watched;

  std::size_t request_bytes = 0;  // held for an unfinished request
  std::size_t held_bytes = 0;     // with its replies and transaction

  void end_multi() noexcept {
    in_multi = multi_failed = false;
    multi_bytes = 0;
    queued.clear();
    queued.shrink_to_fit();
    watched.clear();
  }
};

}  // namespace ashlar::resp

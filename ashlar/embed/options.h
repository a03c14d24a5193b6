#pragma once

/// Options of an embedded database, of its reads and of its writes.

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/kv/durability.h"

namespace ashlar {

using kv::Durability;

class Snapshot;

struct DbOptions {
  /// Threads of the database, each with its event loop. More than one serves more than one partition.
  unsigned shards = 1;
  /// Bind each to a core of its own, where there are enough.
  bool pin = false;
  /// Of everything: memtables, cache, buffers. 0: three quarters of what this process may use.
  std::uint64_t memory_cap_bytes = 0;

  /// Make what is missing; without it, `not_found`. A device is made ready by `ashlar format`.
  bool create = true;
  /// Partitions of a new database: one more than there are boundaries, each holding the keys from one
  /// boundary (included) to the next. Fixed from then on.
  std::vector<std::string> boundaries = {};

  /// How long a thread that waits for an answer, and is the only one, spins before it sleeps.
  std::chrono::microseconds spin{150};

  /// Any option of docs/options.md by name: {{"kv.cache-bytes", "1GiB"}, {"kv.compression", "lz4"}}.
  std::vector<std::pair<std::string, std::string>> settings = {};
};

struct ReadOptions {
  /// durable: waits where it meets what might yet vanish. Others show the newest, and never wait for a disk
  /// to confirm a write.
  Durability durability = Durability::durable;
  /// Null: the newest state.
  const Snapshot* snapshot = nullptr;
};

struct WriteOptions {
  /// When the call returns: `durable`, once the write survives power loss.
  Durability durability = Durability::durable;
};

/// A key that is put stays until it is erased.
constexpr std::uint64_t no_expiry = 0;

}  // namespace ashlar

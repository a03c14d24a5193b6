#pragma once

/// A key-value engine as a program with plain threads calls it: the shape that peers, and Ashlar's own
/// blocking interface, are brought into. One file each; the table of them is in engines.cc.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.h"

namespace ashlar::bench {

struct Pair {
  std::string_view key, value;
};

/// One thread's use of an engine.
class Session {
 public:
  virtual ~Session() = default;
  /// Bytes of the value, once the caller can read them; 0 where there is none.
  virtual Result<std::size_t> get(std::string_view key) = 0;
  /// How many of them there are. One after the other where the engine knows nothing better.
  virtual Result<std::size_t> multi_get(std::span<const std::string_view> keys);
  /// All or nothing. Has survived power loss when it returns, where `durable`.
  virtual Result<> put(std::span<const Pair> pairs, bool durable) = 0;
  /// Walks up to `count` entries from `first` on and looks at each key and value: how many there were.
  virtual Result<std::uint64_t> scan(std::string_view first, std::uint64_t count, bool backward) = 0;
};

/// Memory and way of reading are said by the case, the same for both sides; the rest is the engine's setup.
struct EngineOptions {
  std::string directory;          ///< exists
  std::uint64_t cache_bytes = 0;  ///< 0: the engine's default
  std::uint64_t map_bytes = 0;    ///< most that a mapped file can grow to (LMDB)
  bool direct = false;            ///< reads by O_DIRECT
  unsigned sessions = 1;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::unique_ptr<Session> session() = 0;
  /// Everything is in tables, and what is due to be merged is merged.
  virtual Result<> settle() = 0;
  /// Everything is in tables.
  virtual Result<> flush() { return settle(); }
  /// What was written by now survives power loss. Any thread, beside sessions.
  virtual Result<> sync() = 0;
};

/// An engine in one configuration.
struct EngineKind {
  std::string engine;   ///< "RocksDB"
  std::string setup;    ///< "default", "plain-table"
  std::string summary;  ///< what the setup is
  std::string version;
  bool counts_allocations = true;  ///< it allocates by operator new, which is what is counted
  Result<std::unique_ptr<Engine>> (*open)(const EngineKind&, const EngineOptions&) = nullptr;
};

/// Those that this build has; null where it has none such.
const EngineKind* find_engine(std::string_view engine, std::string_view setup);
/// "RocksDB, setup, is not here": for rows without a peer.
const std::vector<EngineKind>& engines();

void add_ashlar_engines(std::vector<EngineKind>& engines);
void add_leveldb_engines(std::vector<EngineKind>& engines);
void add_lmdb_engines(std::vector<EngineKind>& engines);
void add_rocksdb_engines(std::vector<EngineKind>& engines);
void add_wiredtiger_engines(std::vector<EngineKind>& engines);

}  // namespace ashlar::bench

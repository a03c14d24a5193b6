/// LevelDB: defaults, and with a bloom filter and without compression.

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/kv/engine.h"

namespace ashlar::bench {

namespace {

Result<> checked(const leveldb::Status& status, const char* where) {
  if (status.ok()) return {};
  return fail(Errc::io, where);
}

leveldb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}

class LeveldbSession final : public Session {
 public:
  explicit LeveldbSession(leveldb::DB& database) : database_(database) {}

  Result<std::size_t> get(std::string_view key) override {
    const leveldb::Status status = database_.Get({}, slice(key), &value_);
    if (status.IsNotFound()) return 0;
    TRY(checked(status, "get of LevelDB"));
    return value_.size();
  }
  Result<> put(std::span<const Pair> pairs, bool durable) override {
    leveldb::WriteOptions write;
    write.sync = durable;
    leveldb::WriteBatch batch;
    for (const Pair& pair : pairs) batch.Put(slice(pair.key), slice(pair.value));
    return checked(database_.Write(write, &batch), "put of LevelDB");
  }
  Result<std::uint64_t> scan(std::string_view first, std::uint64_t count, bool backward) override {
    const std::unique_ptr<leveldb::Iterator> at(database_.NewIterator({}));
    at->Seek(slice(first));
    if (backward && !at->Valid()) at->SeekToLast();  // the last key is below `first`
    std::uint64_t entries = 0;
    for (; at->Valid() && entries < count; backward ? at->Prev() : at->Next())
      entries += at->key().size() + at->value().size() != 0 ? 1 : 0;
    TRY(checked(at->status(), "scan of LevelDB"));
    return entries;
  }

 private:
  leveldb::DB& database_;
  std::string value_;
};

class LeveldbEngine final : public Engine {
 public:
  LeveldbEngine(const EngineKind& kind, const EngineOptions& wanted) {
    options_.create_if_missing = true;
    if (wanted.cache_bytes != 0) cache_.reset(leveldb::NewLRUCache(wanted.cache_bytes));
    options_.block_cache = cache_.get();
    if (kind.setup == "default") return;
    filter_.reset(leveldb::NewBloomFilterPolicy(10));
    options_.filter_policy = filter_.get();
    options_.compression = leveldb::kNoCompression;
    options_.write_buffer_size = 64u << 20;  // as large as RocksDB's
    options_.max_file_size = 64u << 20;
  }
  Result<> open(const std::string& path) {
    leveldb::DB* database = nullptr;
    TRY(checked(leveldb::DB::Open(options_, path, &database), "open of LevelDB"));
    database_.reset(database);
    return {};
  }

  std::unique_ptr<Session> session() override { return std::make_unique<LeveldbSession>(*database_); }
  /// Compaction of everything is its only way to say: flush.
  Result<> settle() override {
    database_->CompactRange(nullptr, nullptr);
    return {};
  }
  /// A batch of nothing, through the log.
  Result<> sync() override {
    leveldb::WriteOptions write;
    write.sync = true;
    leveldb::WriteBatch nothing;
    return checked(database_->Write(write, &nothing), "sync of LevelDB");
  }

 private:
  leveldb::Options options_;
  std::unique_ptr<leveldb::Cache> cache_;
  std::unique_ptr<const leveldb::FilterPolicy> filter_;
  std::unique_ptr<leveldb::DB> database_;
};

Result<std::unique_ptr<Engine>> open_leveldb(const EngineKind& kind, const EngineOptions& options) {
  auto engine = std::make_unique<LeveldbEngine>(kind, options);
  TRY(engine->open(options.directory + "/leveldb"));
  return engine;
}

}  // namespace

void add_leveldb_engines(std::vector<EngineKind>& engines) {
  const auto version = fmt::format("LevelDB {}.{}", leveldb::kMajorVersion, leveldb::kMinorVersion);
  engines.push_back({.engine = "LevelDB",
                     .setup = "default",
                     .summary = "defaults",
                     .version = version,
                     .open = open_leveldb});
  engines.push_back({.engine = "LevelDB",
                     .setup = "tuned",
                     .summary = "bloom filter, no compression, 64 MiB write buffer and tables",
                     .version = version,
                     .open = open_leveldb});
}

}  // namespace ashlar::bench

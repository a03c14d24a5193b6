/// RocksDB, in its defaults, in the configuration that its own guide starts from ("Setup Options and Basic
/// Tuning"), and in what it documents as best for a case.

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/kv/engine.h"
#include "bench/machine.h"

namespace ashlar::bench {

namespace {

using rocksdb::BlockBasedTableOptions;

Result<> checked(const rocksdb::Status& status, const char* where) {
  if (status.ok()) return {};
  fmt::print(stderr, "{}: {}\n", where, status.ToString());
  return fail(Errc::io, where);
}

void use_plain_tables(rocksdb::Options& options) {
  constexpr std::uint32_t key_bytes = 12;  // key-%08d
  rocksdb::PlainTableOptions table;
  table.user_key_len = key_bytes;
  table.bloom_bits_per_key = 10;
  table.hash_table_ratio = 0.75;
  table.index_sparseness = 1;
  options.table_factory.reset(rocksdb::NewPlainTableFactory(table));
  options.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(key_bytes));
  options.allow_mmap_reads = true;
  options.compression = rocksdb::kNoCompression;
}

void use_hash_index(rocksdb::Options& options, BlockBasedTableOptions& table) {
  table.data_block_index_type = BlockBasedTableOptions::kDataBlockBinaryAndHash;
  table.data_block_hash_table_util_ratio = 0.75;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
  table.whole_key_filtering = true;
  options.compression = rocksdb::kNoCompression;
}

void tune(rocksdb::Options& options, BlockBasedTableOptions& table, bool direct) {
  options.level_compaction_dynamic_level_bytes = true;
  options.max_background_jobs = std::max(2, static_cast<int>(cores().size()));
  options.bytes_per_sync = 1 << 20;
  options.compaction_pri = rocksdb::kMinOverlappingRatio;
  table.cache_index_and_filter_blocks = !direct;
  table.pin_l0_filter_and_index_blocks_in_cache = !direct;
  table.block_size = direct ? 4096 : 16 * 1024;  // a cold get reads one block
  table.format_version = 5;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
}

rocksdb::Options options_for(const std::string& setup, const EngineOptions& wanted) {
  rocksdb::Options options;
  options.create_if_missing = true;
  BlockBasedTableOptions table;
  if (setup == "plain-table") {
    use_plain_tables(options);
    return options;
  }
  if (setup == "hash-index") use_hash_index(options, table);
  if (setup == "tuned" || setup == "universal") tune(options, table, wanted.direct);
  if (setup == "universal") options.compaction_style = rocksdb::kCompactionStyleUniversal;
  if (setup == "bulk") options.PrepareForBulkLoad();
  if (setup == "blobs") {
    tune(options, table, wanted.direct);
    options.enable_blob_files = true;
    options.min_blob_size = 4096;
    options.enable_blob_garbage_collection = true;
  }
  if (setup == "sync-writes") {
    options.recycle_log_file_num = 4;
    options.enable_pipelined_write = true;
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  }
  if (wanted.direct) {
    options.use_direct_reads = true;
    table.no_block_cache = true;
  } else if (wanted.cache_bytes != 0) {
    table.block_cache = rocksdb::NewLRUCache(wanted.cache_bytes);
  }
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

class RocksdbSession final : public Session {
 public:
  explicit RocksdbSession(rocksdb::DB& database)
      : database_(database), family_(database.DefaultColumnFamily()) {
    read_.async_io = true;  // of multi_get, where this build can
  }

  Result<std::size_t> get(std::string_view key) override {
    value_.Reset();
    const rocksdb::Status status =
        database_.Get(read_, family_, rocksdb::Slice(key.data(), key.size()), &value_);
    if (status.IsNotFound()) return 0;
    TRY(checked(status, "get of RocksDB"));
    return value_.size();
  }

  Result<std::size_t> multi_get(std::span<const std::string_view> keys) override {
    slices_.clear();
    for (const std::string_view key : keys) slices_.emplace_back(key.data(), key.size());
    values_.resize(keys.size());
    statuses_.resize(keys.size());
    for (auto& each : values_) each.Reset();
    database_.MultiGet(read_, family_, keys.size(), slices_.data(), values_.data(), statuses_.data());
    std::size_t found = 0;
    for (const rocksdb::Status& status : statuses_) {
      if (status.IsNotFound()) continue;
      TRY(checked(status, "multi-get of RocksDB"));
      ++found;
    }
    return found;
  }

  Result<> put(std::span<const Pair> pairs, bool durable) override {
    rocksdb::WriteOptions write;
    write.sync = durable;
    const auto slice = [](std::string_view text) { return rocksdb::Slice(text.data(), text.size()); };
    if (pairs.size() == 1)
      return checked(database_.Put(write, slice(pairs[0].key), slice(pairs[0].value)), "put of RocksDB");
    rocksdb::WriteBatch batch;
    for (const Pair& pair : pairs) (void)batch.Put(slice(pair.key), slice(pair.value));
    return checked(database_.Write(write, &batch), "batch of RocksDB");
  }

  Result<std::uint64_t> scan(std::string_view first, std::uint64_t count, bool backward) override {
    const std::unique_ptr<rocksdb::Iterator> at(database_.NewIterator({}));
    const rocksdb::Slice key(first.data(), first.size());
    std::uint64_t entries = 0;
    for (backward ? at->SeekForPrev(key) : at->Seek(key); at->Valid() && entries < count;
         backward ? at->Prev() : at->Next()) {
      entries += at->key().size() + at->value().size() != 0 ? 1 : 0;
    }
    TRY(checked(at->status(), "scan of RocksDB"));
    return entries;
  }

 private:
  rocksdb::DB& database_;
  rocksdb::ColumnFamilyHandle* family_;
  rocksdb::ReadOptions read_;
  rocksdb::PinnableSlice value_;
  std::vector<rocksdb::Slice> slices_;
  std::vector<rocksdb::PinnableSlice> values_;
  std::vector<rocksdb::Status> statuses_;
};

class RocksdbEngine final : public Engine {
 public:
  RocksdbEngine(std::unique_ptr<rocksdb::DB> database, bool compacts)
      : database_(std::move(database)), compacts_(compacts) {}

  std::unique_ptr<Session> session() override { return std::make_unique<RocksdbSession>(*database_); }
  Result<> settle() override {
    TRY(flush());
    if (!compacts_) return {};
    return checked(database_->CompactRange({}, nullptr, nullptr), "compaction of RocksDB");
  }
  Result<> flush() override { return checked(database_->Flush({}), "flush of RocksDB"); }
  Result<> sync() override { return checked(database_->SyncWAL(), "sync of RocksDB"); }

 private:
  std::unique_ptr<rocksdb::DB> database_;
  bool compacts_;
};

Result<std::unique_ptr<Engine>> open_rocksdb(const EngineKind& kind, const EngineOptions& options) {
  rocksdb::DB* database = nullptr;
  TRY(checked(rocksdb::DB::Open(options_for(kind.setup, options), options.directory + "/rocksdb", &database),
              "open of RocksDB"));
  return std::make_unique<RocksdbEngine>(std::unique_ptr<rocksdb::DB>(database), kind.setup != "bulk");
}

}  // namespace

void add_rocksdb_engines(std::vector<EngineKind>& engines) {
  const std::string version = fmt::format("RocksDB {}.{}.{}", ROCKSDB_MAJOR, ROCKSDB_MINOR, ROCKSDB_PATCH);
  const auto add = [&](const char* setup, const char* summary) {
    engines.push_back(
        {.engine = "RocksDB", .setup = setup, .summary = summary, .version = version, .open = open_rocksdb});
  };
  add("default", "defaults");
  add("hash-index", "hash index in blocks, bloom filter");
  add("plain-table", "PlainTable over mmap, hash index over whole keys");
  add("sync-writes", "recycled logs, pipelined writes");
  add("tuned", "its guide's: bloom filter, 16 KiB blocks (4 KiB direct), dynamic levels, a job per core");
  add("universal", "its guide's, universal compaction");
  add("blobs", "its guide's, values from 4 KiB on in blob files");
  add("bulk", "PrepareForBulkLoad: no compaction, no slowdown");
}

}  // namespace ashlar::bench

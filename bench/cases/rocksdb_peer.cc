#include "bench/cases/rocksdb_peer.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "bench/machine.h"

namespace ashlar::bench {

namespace {

rocksdb::Options options_for(RocksdbPeer::Setup setup) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.error_if_exists = false;
  switch (setup) {
    case RocksdbPeer::Setup::defaults: break;
    case RocksdbPeer::Setup::hash_index: {
      rocksdb::BlockBasedTableOptions table;
      table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
      table.data_block_hash_table_util_ratio = 0.75;
      table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
      table.whole_key_filtering = true;
      table.block_cache = rocksdb::NewLRUCache(1u << 30);
      options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
      options.compression = rocksdb::kNoCompression;
      break;
    }
    case RocksdbPeer::Setup::plain_table: {
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
      break;
    }
    case RocksdbPeer::Setup::sync_writes:
      options.recycle_log_file_num = 4;
      options.enable_pipelined_write = true;
      options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
      break;
  }
  return options;
}

Result<> checked(const rocksdb::Status& status, const char* where) {
  if (!status.ok()) return fail(Errc::io, where);
  return {};
}

}  // namespace

struct RocksdbPeer::State {
  std::unique_ptr<rocksdb::DB> database;
};

RocksdbPeer::RocksdbPeer(std::unique_ptr<State> state) : state_(std::move(state)) {}
RocksdbPeer::RocksdbPeer(RocksdbPeer&&) noexcept = default;
RocksdbPeer::~RocksdbPeer() = default;

Result<RocksdbPeer> RocksdbPeer::open(const std::string& directory, Setup setup) {
  rocksdb::DB* database = nullptr;
  TRY(checked(rocksdb::DB::Open(options_for(setup), directory + "/rocksdb", &database), "open of RocksDB"));
  auto state = std::make_unique<State>();
  state->database.reset(database);
  return RocksdbPeer(std::move(state));
}

Result<Sample> RocksdbPeer::measure_get(const Keys& keys, std::uint64_t slices) {
  rocksdb::DB& database = *state_->database;
  const std::string value = value_of_bytes(value_bytes);
  for (const std::string& key : keys.names) TRY(checked(database.Put({}, key, value), "put of RocksDB"));
  TRY(checked(database.Flush({}), "flush of RocksDB"));
  TRY(checked(database.CompactRange({}, nullptr, nullptr), "compaction of RocksDB"));

  SliceClock clock(slices);
  std::uint64_t bytes = 0;
  on_cores({cores().back()}, [&] {
    const rocksdb::ReadOptions read;
    rocksdb::ColumnFamilyHandle* family = database.DefaultColumnFamily();
    clock.mark();
    for (std::uint64_t slice = 0; slice < slices; ++slice) {
      for (const std::uint32_t which : keys.order) {
        rocksdb::PinnableSlice found;
        if (database.Get(read, family, keys.names[which], &found).ok()) bytes += found.size();
      }
      clock.mark();
    }
  });
  if (bytes != slices * keys.order.size() * value_bytes) return fail(Errc::corrupt, "get of RocksDB");
  return Sample{.value = clock.ns_each(keys.order.size())};
}

Result<Sample> RocksdbPeer::measure_put(unsigned writers, std::uint64_t count_each) {
  rocksdb::DB& database = *state_->database;
  const std::string value = value_of_bytes(value_bytes);
  std::atomic<bool> failed{false};
  const auto write = [&](unsigned writer) {
    rocksdb::WriteOptions durable;
    durable.sync = true;
    for (std::uint64_t i = 0; i < count_each; ++i) {
      if (!database.Put(durable, key_of_writer(writer, i), value).ok()) failed = true;
    }
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(warm_up_ms));
  const double start = seconds_now();
  std::vector<std::thread> threads;
  for (unsigned writer = 0; writer < writers; ++writer) threads.emplace_back(write, writer);
  for (std::thread& thread : threads) thread.join();
  const double seconds = seconds_now() - start;
  if (failed) return fail(Errc::io, "put of RocksDB");
  return Sample{.value = static_cast<double>(writers * count_each) / seconds};
}

bool rocksdb_is_here() {
  return true;
}

std::string rocksdb_version() {
  return fmt::format("RocksDB {}.{}.{}", ROCKSDB_MAJOR, ROCKSDB_MINOR, ROCKSDB_PATCH);
}

}  // namespace ashlar::bench

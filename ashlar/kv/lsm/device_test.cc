/// The engine on devices, by the machine's own back end: a file, a loop device, memory. It is filled, flushed
/// and merged, closed, opened on another number of shards, read and checked. The simulated disk, and power
/// cuts on it, are in tests/crash.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>

#include "ashlar/base/random.h"
#include "ashlar/base/units.h"
#include "ashlar/blob/device/device_check.h"
#include "ashlar/blob/device/device_home.h"
#include "ashlar/device/standard_registry.h"
#include "ashlar/kv/lsm/store.h"
#include "ashlar/kv/lsm/verify.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/test_loop_device.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar::lsm {
namespace {

using ashlar::testing::LoopDevice;
using kv::PartitionId;
using Contents = std::map<std::string, std::string>;

constexpr std::uint64_t device_bytes = 96_MiB;

LsmOptions options() {
  LsmOptions options;
  options.partitions = 3;
  options.memtable_bytes = 64u << 10;
  options.cache_bytes = 1u << 20;
  options.level0_tables = 2;
  options.level1_bytes = 256u << 10;
  options.table_bytes = 64u << 10;
  options.log.segment_bytes = 1u << 20;
  options.log.spares = 1;
  options.directory.reserve_bytes = 1u << 20;
  return options;
}

/// What memory holds ends with the device: so the device is not closed with a store.
class LentHome final : public blob::Home {
 public:
  explicit LentHome(blob::BlobDevice& blobs) : blobs_(blobs) {}

  const std::string& name() const noexcept override { return name_; }
  std::string partition_name(std::uint32_t partition) const override {
    return name_ + ' ' + std::to_string(partition);
  }
  Task<Result<std::unique_ptr<blob::Store>>> open_root() override {
    co_return co_await blobs_.open_volume(1, {.reserve_bytes = 0, .create = true});
  }
  Task<Result<>> prepare_partition(std::uint32_t partition) override {
    const auto made =
        CO_TRY(co_await blobs_.open_volume(2 + partition, {.reserve_bytes = 0, .create = true}));
    co_return co_await made->close();
  }
  Task<Result<std::unique_ptr<blob::Store>>> open_partition(std::uint32_t partition) override {
    co_return co_await blobs_.open_volume(2 + partition, {.reserve_bytes = 1u << 20});
  }

 private:
  blob::BlobDevice& blobs_;
  const std::string name_ = "lent";
};

using MakeHome = std::function<Task<Result<std::unique_ptr<blob::Home>>>()>;

Task<Result<>> put_here(LsmPartition& partition, const StoredKey& key, const std::string& value) {
  for (;;) {
    const auto ticket = partition.append({.key = &key, .value = as_bytes(value)}, kv::Durability::periodic);
    if (ticket || ticket.error().code != Errc::no_memory) {
      const kv::Ticket written = CO_TRY(ticket);
      co_return co_await written;
    }
    CO_TRY(co_await partition.flush());
  }
}
Task<Result<>> put(LsmStore& store, std::string name, std::string value) {
  const StoredKey key = store.stored(as_bytes(name));
  const PartitionId id = store.partition_of(key);
  co_return co_await invoke(store.home_of(id), [&] { return put_here(store.partition(id), key, value); });
}
Task<Result<std::optional<std::string>>> get_here(LsmPartition& partition, const StoredKey& key) {
  const auto value = CO_TRY(co_await partition.get(key));
  co_return value ? std::optional(std::string(as_text(value->bytes))) : std::nullopt;
}
Task<Result<>> settle_here(LsmPartition& partition) {
  CO_TRY(co_await partition.flush());
  co_return co_await partition.settle_compaction();
}

/// Three times over, so that there is something to merge; some values stand in value tables.
Task<Result<>> fill(LsmStore& store, Contents& contents, Random& random) {
  for (int i = 0; i < 1500; ++i) {
    const std::string name = "key-" + std::to_string(random.below(500));
    std::string value = std::to_string(i) + std::string(random.one_in(8) ? 6000 : random.below(800), 'v');
    CO_TRY(co_await put(store, name, value));
    contents[name] = std::move(value);
  }
  std::uint64_t compactions = 0, value_tables = 0;
  for (std::uint16_t id = 0; id < store.partitions(); ++id) {
    LsmPartition& partition = store.partition(PartitionId{id});
    CO_TRY(co_await invoke(store.home_of(PartitionId{id}), [&] { return settle_here(partition); }));
    compactions += partition.stats().compactions;
    value_tables += partition.stats().value_table_count;
    EXPECT_EQ(partition.stats().failed_jobs, 0u);
  }
  EXPECT_GT(compactions, 0u);
  EXPECT_GT(value_tables, 0u);
  // And some that the log alone has.
  for (int i = 0; i < 20; ++i) CO_TRY(co_await put(store, "late-" + std::to_string(i), "late"));
  for (int i = 0; i < 20; ++i) contents["late-" + std::to_string(i)] = "late";
  co_return Result<>{};
}

Task<Result<>> expect_all(LsmStore& store, const Contents& contents) {
  for (const auto& [name, expected] : contents) {
    const StoredKey key = store.stored(as_bytes(name));
    const PartitionId id = store.partition_of(key);
    const auto found =
        CO_TRY(co_await invoke(store.home_of(id), [&] { return get_here(store.partition(id), key); }));
    EXPECT_TRUE(found && *found == expected) << name;
  }
  co_return Result<>{};
}

Task<Result<>> with_store(const MakeHome& home, unsigned shards,
                          std::function<Task<Result<>>(LsmStore&)> body) {
  const auto store = CO_TRY(co_await LsmStore::open(CO_TRY(co_await home()), options(), shards));
  const Result<> done = co_await body(*store);
  const Result<> closed = co_await store->close();
  co_return done ? closed : done;
}

/// The whole of it, on shard 0.
Task<Result<>> use(MakeHome home) {
  Random random(7);
  Contents contents;
  for (const unsigned shards : {2u, 1u}) {
    CO_TRY(co_await with_store(home, shards, [&](LsmStore& store) -> Task<Result<>> {
      CO_TRY(co_await expect_all(store, contents));
      co_return co_await fill(store, contents, random);
    }));
  }
  const auto closed = CO_TRY(co_await home());
  const auto verified = co_await verify_data_set(*closed, {});
  co_await closed->close();
  const VerifyReport report = CO_TRY(verified);
  EXPECT_TRUE(report.damages.empty()) << report.damages.front().error.to_string();
  EXPECT_EQ(report.partitions, 3u);
  EXPECT_GT(report.tables, 0u);
  EXPECT_GT(report.value_tables, 0u);
  CO_TRY(co_await with_store(home, 2, [&](LsmStore& store) { return expect_all(store, contents); }));
  co_return Result<>{};
}

Task<Result<std::unique_ptr<Device>>> open_device(std::string spec) {
  auto device = co_await standard_registry().open(spec);
  if (!device) co_return fail(device.error().code, "open device");
  co_return *std::move(device);
}

Task<Result<>> check(Device& device) {
  const blob::DeviceReport report = CO_TRY(co_await blob::check_device(device));
  EXPECT_TRUE(report.damages.empty()) << report.damages.front().error.to_string();
  EXPECT_EQ(report.volumes.size(), 4u);
  co_return Result<>{};
}

/// Opened anew each time.
Task<Result<>> use_device(std::string spec) {
  auto device = CO_TRY(co_await open_device(spec));
  const Result<> formatted = co_await blob::format_device(*device, {.chunk_bytes = 1u << 20});
  co_await device->close();
  CO_TRY(formatted);
  CO_TRY(co_await use([&spec]() -> Task<Result<std::unique_ptr<blob::Home>>> {
    co_return blob::device_home(CO_TRY(co_await open_device(spec)), 1u << 20);
  }));
  device = CO_TRY(co_await open_device(spec));
  const Result<> checked = co_await check(*device);
  co_await device->close();
  co_return checked;
}

/// Opened once.
Task<Result<>> use_memory(std::string spec) {
  const auto device = CO_TRY(co_await open_device(spec));
  Result<> used = co_await blob::format_device(*device, {.chunk_bytes = 1u << 20});
  if (used) {
    const auto blobs = co_await blob::BlobDevice::open(*device);
    used = blobs ? Result<>() : std::unexpected(blobs.error());
    if (used) {
      used = co_await use([&blobs]() -> Task<Result<std::unique_ptr<blob::Home>>> {
        co_return std::make_unique<LentHome>(**blobs);
      });
    }
  }
  if (used) used = co_await check(*device);
  co_await device->close();
  co_return used;
}

Task<Result<>> nothing() {
  co_return Result<>{};
}

class EngineOnDevice : public ::testing::Test {
 protected:
  EngineOnDevice()
      : directory_(std::filesystem::temp_directory_path() /
                   ("ashlar-engine-device-" + std::to_string(getpid()))) {
    std::filesystem::create_directory(directory_);
    std::ofstream made(file());
    std::filesystem::resize_file(file(), device_bytes);
  }
  ~EngineOnDevice() override { std::filesystem::remove_all(directory_); }

  std::string file() const { return (directory_ / "device").string(); }
  static void run(const std::string& spec, Task<Result<>> (*body)(std::string)) {
    Runtime runtime({.shards = 2, .pin = false, .shard = {}, .uring = {}});
    const Result<> result =
        runtime.run([&](Shard& shard) { return shard.id() == ShardId{0} ? body(spec) : nothing(); });
    EXPECT_TRUE(result) << spec << ": " << result.error().to_string();
  }

  std::filesystem::path directory_;
};

TEST_F(EngineOnDevice, AFileByTheRing) {
  run("uring:" + file(), use_device);
}
TEST_F(EngineOnDevice, AFileByThreads) {
  run("direct:" + file(), use_device);
}
TEST_F(EngineOnDevice, ALoopDevice) {
  for (const unsigned block_bytes : {512u, 4096u}) {
    const auto loop = LoopDevice::attach(file(), block_bytes);
    if (!loop) GTEST_SKIP() << loop.error().to_string();
    run("uring:" + loop->path(), use_device);
    if (HasFailure()) return;
    std::filesystem::resize_file(file(), 0);  // zeroes again, to be formatted once more
    std::filesystem::resize_file(file(), device_bytes);
  }
}
TEST_F(EngineOnDevice, Memory) {
  run("ram:96MiB", use_memory);
}

}  // namespace
}  // namespace ashlar::lsm

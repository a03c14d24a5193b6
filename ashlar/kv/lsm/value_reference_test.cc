/// Tables whose checksums fit, but that refer to values which cannot be there: what a compaction, readers and
/// a verification make of them.

#include <fcntl.h>

#include <functional>

#include "ashlar/kv/lsm/copies_testing.h"
#include "ashlar/kv/lsm/table/block.h"
#include "ashlar/kv/lsm/table/frame.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {
namespace {

using kv::PartitionId;
using std::chrono::seconds;

constexpr int keys = 200;
constexpr std::size_t value_bytes = 200;
constexpr std::uint64_t block_offset = 4096;  // of the table's second block

struct Forgery {
  const char* name;
  std::function<void(MutableBytes encoded)> forge;
};

std::function<void(MutableBytes)> changed(void (*change)(ValueRef& ref)) {
  return [change](MutableBytes encoded) {
    ValueRef ref = *ValueRef::decode(encoded, {});
    change(ref);
    std::byte memory[value_ref_bytes_max];
    const Bytes now{memory, ref.encode(memory)};
    ASSERT_EQ(now.size(), encoded.size());
    std::ranges::copy(now, encoded.begin());
  };
}

const Forgery forgeries[] = {
    {"names no table", changed([](ValueRef& ref) { ref.table = 120; })},
    {"ends beyond its table", changed([](ValueRef& ref) { ref.offset += 4096 * value_align; })},
    {"is none", [](MutableBytes encoded) { encoded.back() |= std::byte{0x80}; }}};

class ValueReferenceTest : public testing::StoreTest {
 protected:
  static LsmOptions options() {
    LsmOptions options = testing::small_options();
    options.partitions = 2;
    options.memtable_bytes = 1u << 20;  // flushed when the test says so
    options.separate_bytes = 64;
    options.merge_operator = "append:,";
    return options;
  }
  void with_partitions(const std::function<Task<>(LsmStore&)>& body) {
    const Result<> done = with_store(1, options(), body);
    EXPECT_TRUE(done) << done.error().to_string();
  }
  /// Of partition 0 or 1.
  static std::string key_of(const LsmStore& store, std::uint16_t partition, int i) {
    std::string tag = "{a}";
    while (store.partition_of(store.stored(as_bytes(tag))) != PartitionId{partition}) ++tag[1];
    return tag + std::to_string(1000 + i);
  }
  static Task<> put_and_flush(LsmStore& store, std::uint16_t partition, int to, char mark) {
    for (int i = 0; i < to; ++i)
      EXPECT_TRUE(co_await put(store, key_of(store, partition, i), std::string(value_bytes, mark)));
    EXPECT_TRUE(co_await store.partition(PartitionId{partition}).flush());
  }
  static Task<> merge_and_flush(LsmStore& store, int i) {
    const StoredKey key = store.stored(as_bytes(key_of(store, 0, i)));
    LsmPartition& partition = store.partition(PartitionId{0});
    const auto ticket =
        partition.append({.key = &key, .value = as_bytes(std::string_view("more")), .kind = kv::Kind::merge});
    EXPECT_TRUE(ticket && co_await *ticket);
    EXPECT_TRUE(co_await partition.flush());
  }

  /// The key tables of partition 0.
  std::vector<std::string> key_tables() const {
    std::vector<std::string> files = disk_.files();
    std::erase_if(files, [&](const std::string& path) {
      if (!path.starts_with("/data/partition-0000/") || !path.ends_with(".table")) return true;
      return ValueFooter::looks_like(as_bytes(*disk_.contents(path)).last(page_bytes));
    });
    return files;
  }
  /// Of the last entry of the table's second block. Returns the table's number.
  std::uint64_t forge(const std::string& path, const Forgery& forgery, std::string& key) {
    const std::uint64_t number = std::stoull(path.substr(path.rfind('/') + 1));
    const ErrorPlace place{number, block_offset};
    std::string bytes = *disk_.contents(path);
    const MutableBytes frame = std::as_writable_bytes(std::span(bytes)).subspan(block_offset, page_bytes);
    const auto opened = open_frame(frame, FrameType::data, place);
    EXPECT_TRUE(opened && opened->compression == Compression::none);
    const auto block = Block::parse(opened->stored, place);
    EXPECT_TRUE(block);
    KeyBuffer buffer;
    const Entry entry = block->entry(block->count() - 1, buffer);
    EXPECT_EQ(entry.kind, Kind::separated);
    key = as_text(kv::user_key_of_stored(entry.key));
    forgery.forge(
        frame.subspan(static_cast<std::size_t>(entry.value.data() - frame.data()), entry.value.size()));
    const auto stored = static_cast<std::uint32_t>(opened->stored.size());
    seal_frame(frame.first(frame_header_bytes + stored), FrameType::data, Compression::none, stored, stored,
               place);
    const auto file = disk_.open(path, O_WRONLY);
    EXPECT_TRUE(file && disk_.write(**file, block_offset, frame, true));
    disk_.close(**file);
    return number;
  }

  /// Whatever meets the reference says where it is.
  static void expect_place(const Result<>& result, std::uint64_t table) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::corrupt) << result.error().to_string();
    EXPECT_EQ(result.error().object, table) << result.error().to_string();
    EXPECT_EQ(result.error().offset, block_offset) << result.error().to_string();
  }
  Task<> expect_halted(LsmStore& store, std::uint64_t table, std::string bad) {
    LsmPartition& partition = store.partition(PartitionId{0});
    expect_place(co_await partition.settle_compaction(), table);
    (void)co_await sleep_for(seconds(60));
    EXPECT_EQ(partition.stats().failed_jobs, 1u);
    EXPECT_EQ(partition.stats().compactions, 0u);
    EXPECT_TRUE(partition.stats().compaction_error);
    if (partition.stats().compaction_error)
      expect_place(std::unexpected(*partition.stats().compaction_error), table);
    EXPECT_EQ((co_await get(store, bad)).error().code, Errc::corrupt);
    EXPECT_EQ(*co_await get(store, key_of(store, 0, 0)), std::string(value_bytes, 'b'));
    co_await put_and_flush(store, 0, 2, 'c');
    EXPECT_EQ(*co_await get(store, key_of(store, 0, 1)), std::string(value_bytes, 'c'));
    // The other partition does not mind.
    for (const char mark : {'a', 'b'}) co_await put_and_flush(store, 1, keys, mark);
    EXPECT_TRUE(co_await store.partition(PartitionId{1}).settle_compaction());
    EXPECT_GT(store.partition(PartitionId{1}).stats().compactions, 0u);
  }
};

TEST_F(ValueReferenceTest, OneThatCannotBeHaltsCompactionAndNothingElse) {
  for (const bool operand : {false, true}) {
    for (const Forgery& forgery : forgeries) {
      SCOPED_TRACE(std::string("a reference that ") + forgery.name + (operand ? ", below an operand" : ""));
      disk_ = sim::Disk();
      with_partitions([](LsmStore& store) { return put_and_flush(store, 0, keys, 'a'); });
      ASSERT_EQ(key_tables().size(), 1u);
      std::string bad;
      const std::uint64_t table = forge(key_tables().front(), forgery, bad);
      if (HasFailure()) return;
      with_partitions([&](LsmStore& store) -> Task<> {
        if (operand) {
          co_await merge_and_flush(store, std::stoi(bad.substr(3)) - 1000);
          co_await put_and_flush(store, 0, 1, 'b');
        } else {
          co_await put_and_flush(store, 0, keys / 2, 'b');
        }
        co_await expect_halted(store, table, bad);
      });
      const VerifyReport found = testing::verify(disk_, "/data");
      ASSERT_EQ(found.damages.size(), 1u);
      EXPECT_EQ(found.damages[0].part, Damage::Part::table);
      expect_place(std::unexpected(found.damages[0].error), table);
      with_partitions([&](LsmStore& store) -> Task<> {
        LsmPartition& partition = store.partition(PartitionId{0});
        const auto cleared = partition.append({.value = {}, .kind = kv::Kind::clear});
        EXPECT_TRUE(cleared && co_await *cleared);
        co_await put_and_flush(store, 0, keys, 'd');
        EXPECT_TRUE(co_await partition.settle_compaction());
        EXPECT_EQ(*co_await get(store, bad), std::string(value_bytes, 'd'));
      });
      EXPECT_TRUE(testing::verify(disk_, "/data").damages.empty());
      if (HasFailure()) return;
    }
  }
}

TEST_F(ValueReferenceTest, ARepairDropsWhatItCannotFind) {
  for (const Forgery& forgery : forgeries) {
    SCOPED_TRACE(std::string("a reference that ") + forgery.name);
    disk_ = sim::Disk();
    with_partitions([](LsmStore& store) { return put_and_flush(store, 0, keys, 'a'); });
    std::string bad;
    forge(key_tables().front(), forgery, bad);
    const auto report = testing::repair(disk_);
    EXPECT_FALSE(report[0].healthy);
    const VerifyReport after = testing::verify(disk_, "/data");
    EXPECT_TRUE(after.damages.empty()) << after.damages.front().error.to_string();
    // A block that does not parse takes its table with it.
    const bool whole_table = !report[0].lost.empty();
    EXPECT_EQ(report[0].values_lost, whole_table ? 0u : 1u);
    EXPECT_EQ(testing::read(disk_, "/data").size(), whole_table ? 0u : keys - 1);
    EXPECT_FALSE(testing::read(disk_, "/data").contains(bad));
  }
}

}  // namespace
}  // namespace ashlar::lsm

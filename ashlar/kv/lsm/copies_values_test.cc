/// Verification, copies and repair of a data set with large values in tables of their own.

#include "ashlar/base/random.h"
#include "ashlar/kv/lsm/copies_testing.h"
#include "ashlar/kv/lsm/test_seed.h"

namespace ashlar::lsm {
namespace {

using namespace testing;

constexpr std::size_t value_bytes = 6000;

Contents large_contents(int from, int to, char mark) {
  Contents contents;
  for (int i = from; i < to; ++i)
    contents["key-" + std::to_string(i)] = std::string(value_bytes, mark) + std::to_string(i);
  return contents;
}

Task<Result<>> put_and_flush(LsmStore& store, const Contents* contents) {
  CO_TRY(co_await put_all(store, *contents));
  CO_TRY(co_await store.partition(PartitionId{0}).flush());
  co_return co_await store.partition(PartitionId{0}).settle_compaction();
}

LsmOptions options() {
  LsmOptions options = copies_options();
  options.memtable_bytes = 64u << 10;
  options.log.segment_bytes = 512u << 10;
  return options;
}

/// At /data, all of it in tables.
void make(sim::Disk& disk, const Contents& contents) {
  const Ended made = live(disk, [&] {
    return with_store_at(
        "/data", [&](LsmStore& store) { return put_and_flush(store, &contents); }, options());
  });
  ASSERT_TRUE(made.result) << made.result.error().to_string();
}

/// Those of values, by what is on their last page.
std::vector<std::string> value_tables(const sim::Disk& disk) {
  std::vector<std::string> files = disk.files();
  std::erase_if(files, [&](const std::string& path) {
    if (!path.starts_with("/data/") || !path.ends_with(".table")) return true;
    const auto bytes = *disk.contents(path);
    return bytes.size() < page_bytes || !ValueFooter::looks_like(as_bytes(bytes).last(page_bytes));
  });
  return files;
}

TEST(VerifyValues, FindsAnyBitOfAValueTable) {
  sim::Disk disk;
  make(disk, large_contents(0, 40, 'a'));
  const VerifyReport whole = verify(disk, "/data");
  EXPECT_TRUE(whole.damages.empty()) << whole.damages.front().error.to_string();
  EXPECT_EQ(whole.entries, 40u);
  EXPECT_GT(whole.value_tables, 0u);
  EXPECT_GE(whole.value_table_bytes, 40 * value_bytes);
  EXPECT_EQ(whole.value_tables, value_tables(disk).size());
  Random random(test_seed());
  for (const std::string& path : value_tables(disk)) {
    const std::uint64_t bytes = disk.contents(path)->size();
    for (int i = 0; i < 16; ++i) {
      // The last page, and where the values end, each as often as all the rest.
      const std::uint64_t at = bytes - 1 - random.below(i % 2 == 0 ? bytes : 2 * page_bytes);
      ASSERT_NO_FATAL_FAILURE(expect_flip_found(disk, path, at, static_cast<unsigned>(random.below(8))));
    }
  }
  ASSERT_EQ(disk.unlink(value_tables(disk).front()), 0);
  EXPECT_EQ(verify(disk, "/data").damages.size(), 1u);
  const Ended ended = live(disk, [&] {
    return with_store_at("/data", [](LsmStore&) -> Task<Result<>> { co_return Result<>{}; }, options());
  });
  EXPECT_EQ(ended.result.error().code, Errc::corrupt);
}

Task<Result<>> checkpoint(LsmStore& store, const Contents* after) {
  const auto copy = home_at("/copy");
  const CheckpointReport report = CO_TRY(co_await write_checkpoint(store, *copy));
  EXPECT_GE(report.table_bytes, 40 * value_bytes);
  co_return co_await put_and_flush(store, after);
}

TEST(CheckpointValues, HasThemWhateverIsCollectedLater) {
  sim::Disk disk;
  make(disk, large_contents(0, 40, 'a'));
  const Contents after = large_contents(0, 40, 'b');
  const Ended ended = live(disk, [&] {
    return with_store_at("/data", [&](LsmStore& store) { return checkpoint(store, &after); }, options());
  });
  ASSERT_TRUE(ended.result) << ended.result.error().to_string();
  EXPECT_EQ(read(disk, "/copy"), large_contents(0, 40, 'a'));
  EXPECT_TRUE(verify(disk, "/copy").damages.empty());
  EXPECT_EQ(read(disk, "/data"), after);
}

Task<Result<>> add_generation(LsmStore& store, const Contents* more, BackupGeneration* made) {
  CO_TRY(co_await put_all(store, *more));
  co_return co_await with_repository("/backup", [&](BackupRepository& repository) -> Task<Result<>> {
    *made = CO_TRY(co_await repository.add(store));
    co_return Result<>{};
  });
}

TEST(BackupValues, ComeBackAndAreShared) {
  sim::Disk disk;
  make(disk, large_contents(0, 60, 'a'));
  BackupGeneration one, two;
  const Contents none, more = large_contents(60, 63, 'b');
  const auto back_up = [&](const Contents* contents, BackupGeneration* made) {
    return live(disk, [&] {
      return with_store_at(
          "/data", [&](LsmStore& store) { return add_generation(store, contents, made); }, options());
    });
  };
  ASSERT_TRUE(back_up(&none, &one).result);
  ASSERT_TRUE(back_up(&more, &two).result);
  EXPECT_GE(one.added_bytes, 60 * value_bytes);
  EXPECT_LT(two.added_bytes, one.added_bytes / 4);
  for (std::uint64_t generation : {1, 2}) {
    const std::string path = "/restored-" + std::to_string(generation);
    const Ended restored = live(disk, [&] {
      return with_repository("/backup", [&](BackupRepository& repository) -> Task<Result<>> {
        const auto home = home_at(path);
        co_return co_await repository.restore(generation, *home, options());
      });
    });
    ASSERT_TRUE(restored.result) << restored.result.error().to_string();
    Contents expected = large_contents(0, 60, 'a');
    if (generation == 2) expected.insert(more.begin(), more.end());
    EXPECT_EQ(read(disk, path), expected);
    EXPECT_TRUE(verify(disk, path).damages.empty());
  }
}

TEST(RepairValues, LosesOnlyValuesThatCannotBeRead) {
  for (const bool manifest_lost : {false, true}) {
    sim::Disk disk;
    make(disk, large_contents(0, 40, 'a'));
    // Where the manifest is lost, what the log held goes into tables, and its segments are set aside.
    const auto is_log = [](const std::string& path) { return path.starts_with("/data/partition-0000/0."); };
    const auto segments = static_cast<std::uint64_t>(std::ranges::count_if(disk.files(), is_log));
    const auto damaged = value_tables(disk).front();
    ASSERT_EQ(disk.flip_bit(damaged, 2 * value_bytes, 1), 0);
    if (manifest_lost) lose_manifest(disk);
    const auto report = repair(disk);
    ASSERT_EQ(report.size(), 1u);
    EXPECT_FALSE(report[0].healthy);
    EXPECT_EQ(report[0].manifest_rebuilt, manifest_lost);
    const std::size_t lost =
        manifest_lost ? 0 : 1;  // the log still has it: all that was flushed is taken from there
    EXPECT_EQ(report[0].values_lost, lost);
    EXPECT_EQ(report[0].lost.size(), 1u);
    Contents expected = large_contents(0, 40, 'a');
    const Contents left = read(disk, "/data");
    EXPECT_EQ(left.size(), 40 - lost);
    for (const auto& [key, value] : left) EXPECT_EQ(expected[key], value) << key;
    const VerifyReport after = verify(disk, "/data");
    EXPECT_TRUE(after.damages.empty()) << after.damages.front().error.to_string();
    if (manifest_lost)
      EXPECT_GT(after.quarantined_blobs, segments);
    else
      EXPECT_EQ(after.quarantined_blobs, 1u);
    EXPECT_TRUE(repair(disk)[0].healthy);
  }
}

TEST(RepairValues, GoOnWithoutATableThatIsMissing) {
  sim::Disk disk;
  make(disk, large_contents(0, 40, 'a'));
  ASSERT_GT(value_tables(disk).size(), 1u);
  ASSERT_EQ(disk.unlink(value_tables(disk).front()), 0);
  const auto report = repair(disk);
  EXPECT_GT(report[0].values_lost, 0u);
  const Contents left = read(disk, "/data");
  EXPECT_EQ(left.size(), 40 - report[0].values_lost);
  EXPECT_GT(left.size(), 0u);
  EXPECT_TRUE(verify(disk, "/data").damages.empty());
}

TEST(RepairValues, ALostManifestIsRebuiltWithEveryValue) {
  sim::Disk disk;
  make(disk, large_contents(0, 60, 'a'));
  make(disk, large_contents(20, 30, 'b'));
  const Contents expected = read(disk, "/data");
  lose_manifest(disk);
  const auto report = repair(disk);
  EXPECT_TRUE(report[0].manifest_rebuilt);
  EXPECT_EQ(report[0].values_lost, 0u);
  EXPECT_EQ(read(disk, "/data"), expected);
  EXPECT_TRUE(verify(disk, "/data").damages.empty());
}

TEST(RepairValues, CanBeRepeatedAfterAPowerCut) {
  constexpr std::uint64_t cut_step = 5;
  std::uint64_t cut = 0;
  for (std::uint64_t at = 1 + test_seed() % cut_step;; at += cut_step) {
    sim::Disk disk;
    make(disk, large_contents(0, 30, 'a'));
    ASSERT_EQ(disk.flip_bit(value_tables(disk).front(), 2 * value_bytes, 1), 0);
    std::vector<PartitionRepair> report;
    const Ended ended = live(disk, [&] { return repair_at("/data", &report); }, at);
    repair(disk);
    ASSERT_EQ(read(disk, "/data").size(), 29u) << "cut at " << at;
    ASSERT_TRUE(verify(disk, "/data").damages.empty()) << "cut at " << at;
    if (!ended.cut) break;
    ++cut;
  }
  EXPECT_GT(cut, 3u);
}

}  // namespace
}  // namespace ashlar::lsm

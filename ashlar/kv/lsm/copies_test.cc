/// Verification, checkpoints, backups and repair of a data set.

#include "ashlar/base/random.h"
#include "ashlar/kv/lsm/copies_testing.h"
#include "ashlar/kv/lsm/test_seed.h"
#include "ashlar/kv/store_transaction.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::lsm {
namespace {

using namespace testing;

/// A data set at /data: some of it in tables, some in the log.
void make(sim::Disk& disk, const Contents& tables, const Contents& log) {
  const Ended made = live(disk, [&] {
    return with_store_at("/data", [&](LsmStore& store) { return write_parts(store, &tables, &log); });
  });
  ASSERT_TRUE(made.result) << made.result.error().to_string();
}

Contents merged(Contents a, const Contents& b) {
  for (const auto& [key, value] : b) a[key] = value;
  return a;
}

std::vector<std::string> files_with(const sim::Disk& disk, const std::string& part) {
  std::vector<std::string> files = disk.files();
  std::erase_if(files, [&](const std::string& path) { return path.find(part) == path.npos; });
  return files;
}

TEST(Verify, IsContentWithWhatIsWhole) {
  sim::Disk disk;
  make(disk, contents_of(0, 80, 'a'), contents_of(80, 90, 'b'));
  const VerifyReport report = verify(disk, "/data");
  EXPECT_TRUE(report.damages.empty()) << report.damages.front().error.to_string();
  EXPECT_GT(report.tables, 0u);
  EXPECT_EQ(report.entries, 80u);
  EXPECT_GE(report.log_records, 10u);
  EXPECT_EQ(report.partitions, 1u);
}

TEST(Verify, FindsAnyBitOfATable) {
  sim::Disk disk;
  make(disk, contents_of(0, 80, 'a'), {});
  Random random(test_seed());
  for (const std::string& path : files_with(disk, ".table")) {
    const std::uint64_t bytes = disk.contents(path)->size();
    for (int i = 0; i < 12; ++i) {
      const std::uint64_t at = random.below(bytes);
      ASSERT_NO_FATAL_FAILURE(expect_flip_found(disk, path, at, static_cast<unsigned>(random.below(8))));
    }
  }
}

TEST(Verify, NamesManifestLogAndMissingTables) {
  sim::Disk disk;
  make(disk, contents_of(0, 40, 'a'), contents_of(40, 60, 'b'));
  const auto flipped = [&](const std::string& path, std::uint64_t at) {
    EXPECT_EQ(disk.flip_bit(path, at, 3), 0);
    const VerifyReport report = verify(disk, "/data");
    EXPECT_EQ(disk.flip_bit(path, at, 3), 0);
    return report.damages;
  };
  std::size_t manifests = 0, logs = 0;
  for (const std::string& path : files_with(disk, "/1.")) {
    const auto damages = flipped(path, 40);
    if (!damages.empty()) EXPECT_EQ(damages[0].part, Damage::Part::manifest);
    manifests += damages.size();
  }
  EXPECT_GT(manifests, 0u);
  for (const std::string& path : files_with(disk, "/0.00")) {
    const auto damages = flipped(path, 4096 + 100);
    if (!damages.empty()) EXPECT_EQ(damages[0].part, Damage::Part::log);
    logs += damages.size();
  }
  EXPECT_GT(logs, 0u);
  ASSERT_EQ(disk.unlink(files_with(disk, ".table").front()), 0);
  const VerifyReport report = verify(disk, "/data");
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_EQ(report.damages[0].part, Damage::Part::table);
}

Task<Result<>> checkpoint_between(LsmStore& store, const Contents* before, const Contents* after) {
  CO_TRY(co_await put_all(store, *before));
  const auto copy = home_at("/copy");
  const CheckpointReport report = CO_TRY(co_await write_checkpoint(store, *copy));
  EXPECT_EQ(report.tables, report.tables_shared);
  EXPECT_GT(report.tables, 0u);
  co_return co_await put_all(store, *after);
}

TEST(Checkpoint, HoldsWhatWasWrittenBeforeAndNothingAfter) {
  sim::Disk disk;
  make(disk, contents_of(0, 60, 'a'), {});
  const Contents before = contents_of(50, 70, 'b'), after = contents_of(0, 100, 'c');
  const Ended ended = live(disk, [&] {
    return with_store_at("/data",
                         [&](LsmStore& store) { return checkpoint_between(store, &before, &after); });
  });
  ASSERT_TRUE(ended.result) << ended.result.error().to_string();
  EXPECT_EQ(read(disk, "/copy"), merged(contents_of(0, 60, 'a'), before));
  EXPECT_EQ(read(disk, "/data"), after);
  EXPECT_TRUE(verify(disk, "/copy").damages.empty());
  // Neither minds what becomes of the other.
  const Contents more = contents_of(0, 100, 'd');
  EXPECT_TRUE(live(disk, [&] {
                return with_store_at("/copy", [&](LsmStore& store) { return put_all(store, more); });
              }).result);
  EXPECT_EQ(read(disk, "/data"), after);
}

constexpr int account_sum = 1000;

/// A key of the partition.
std::string account(const LsmStore& store, std::uint16_t partition) {
  for (int i = 0;; ++i) {
    std::string name = "account-" + std::to_string(i);
    if (store.partition_of(store.stored(as_bytes(name))) == PartitionId{partition}) return name;
  }
}

/// Writes one account of each partition, in one transaction.
Task<Result<>> transfer(LsmStore& store, int round) {
  const StoredKey here = store.stored(as_bytes(account(store, 0)));
  const StoredKey there = store.stored(as_bytes(account(store, 1)));
  const std::string first = std::to_string(round), second = std::to_string(account_sum - round);
  kv::StoreTransaction transaction(store);
  CO_TRY(co_await transaction.put(here, as_bytes(first)));
  CO_TRY(co_await transaction.put(there, as_bytes(second)));
  CO_TRY(co_await transaction.commit());
  co_return Result<>{};
}

int sum_of(const Contents& accounts) {
  EXPECT_EQ(accounts.size(), 2u);
  int sum = 0;
  for (const auto& [name, amount] : accounts) sum += std::stoi(amount);
  return sum;
}

LsmOptions two_partitions() {
  LsmOptions options = copies_options();
  options.partitions = 2;
  return options;
}

Task<Result<>> transfer_until(LsmStore* store, const bool* done) {
  for (int round = 1; !*done; ++round) CO_TRY(co_await transfer(*store, round));
  co_return Result<>{};
}

constexpr int copies_between_transfers = 12;

Task<Result<>> copy_often(LsmStore* store) {
  for (int i = 0; i < copies_between_transfers; ++i) {
    const auto copy = home_at("/copy-" + std::to_string(i));
    CO_TRY(co_await write_checkpoint(*store, *copy));
    if (i % 4 == 3)
      CO_TRY(co_await store->partition(PartitionId{static_cast<std::uint16_t>(i / 4 % 2)}).flush());
  }
  co_return Result<>{};
}

Task<Result<>> copy_until_done(LsmStore* store, bool* done) {
  const Result<> copied = co_await copy_often(store);
  *done = true;
  co_return copied;
}

Task<Result<>> copy_between_transfers(LsmStore& store) {
  CO_TRY(co_await transfer(store, 0));
  bool done = false;
  auto [transferred, copied] =
      co_await when_all(transfer_until(&store, &done), copy_until_done(&store, &done));
  CO_TRY(transferred);
  co_return copied;
}

TEST(Checkpoint, HasTransactionsAcrossPartitionsWholeOrNotAtAll) {
  sim::Disk disk;
  const Ended ended =
      live(disk, [&] { return with_store_at("/data", copy_between_transfers, two_partitions()); });
  ASSERT_TRUE(ended.result) << ended.result.error().to_string();
  for (int i = 0; i < copies_between_transfers; ++i) {
    const std::string path = "/copy-" + std::to_string(i);
    EXPECT_TRUE(verify(disk, path).damages.empty()) << path;
    EXPECT_EQ(sum_of(read(disk, path)), account_sum) << path;
  }
}

Task<Result<>> add_generation(LsmStore& store, BackupGeneration* made) {
  co_return co_await with_repository("/backup", [&store, made](BackupRepository& repository) {
    return [](LsmStore& from, BackupRepository& to, BackupGeneration* out) -> Task<Result<>> {
      *out = CO_TRY(co_await to.add(from));
      co_return Result<>{};
    }(store, repository, made);
  });
}

Task<Result<>> write_and_back_up(LsmStore& store, const Contents* contents, BackupGeneration* made) {
  CO_TRY(co_await put_all(store, *contents));
  co_return co_await add_generation(store, made);
}

Task<Result<>> restore_from(BackupRepository& repository, std::uint64_t generation, std::string path) {
  const auto home = home_at(std::move(path));
  co_return co_await repository.restore(generation, *home, copies_options());
}

Ended back_up(sim::Disk& disk, const Contents& contents, BackupGeneration& made, std::uint64_t cut_at = 0) {
  return live(
      disk,
      [&] {
        return with_store_at("/data",
                             [&](LsmStore& store) { return write_and_back_up(store, &contents, &made); });
      },
      cut_at);
}

Ended restore(sim::Disk& disk, std::uint64_t generation, const std::string& path, std::uint64_t cut_at = 0) {
  return live(
      disk,
      [&] {
        return with_repository("/backup", [&](BackupRepository& repository) {
          return restore_from(repository, generation, path);
        });
      },
      cut_at);
}

TEST(Backup, EachGenerationComesBackAndSharesTables) {
  sim::Disk disk;
  make(disk, contents_of(0, 100, 'a'), {});
  const Contents second = contents_of(90, 96, 'b');
  BackupGeneration one, two;
  const Ended first = back_up(disk, {}, one);
  ASSERT_TRUE(first.result) << first.result.error().to_string();
  ASSERT_TRUE(back_up(disk, second, two).result);
  EXPECT_EQ(one.number, 1u);
  EXPECT_EQ(two.number, 2u);
  EXPECT_GT(one.added_bytes, one.table_bytes - 1);
  EXPECT_LT(two.added_bytes, one.added_bytes / 2) << "it shares the tables";

  for (const auto& [generation, contents] :
       {std::pair(1, contents_of(0, 100, 'a')), std::pair(2, merged(contents_of(0, 100, 'a'), second))}) {
    const std::string path = "/restored-" + std::to_string(generation);
    const Ended restored = restore(disk, static_cast<std::uint64_t>(generation), path);
    ASSERT_TRUE(restored.result) << restored.result.error().to_string();
    EXPECT_EQ(read(disk, path), contents);
    EXPECT_TRUE(verify(disk, path).damages.empty());
  }
  EXPECT_EQ(restore(disk, 2, "/restored-1").result.error().code, Errc::exists);
  EXPECT_EQ(restore(disk, 7, "/elsewhere").result.error().code, Errc::not_found);
}

Task<Result<>> prune_to_one(BackupRepository& repository) {
  EXPECT_EQ(CO_TRY(co_await repository.prune(1)), 1u);
  EXPECT_EQ(repository.generations().size(), 1u);
  EXPECT_TRUE(CO_TRY(co_await repository.verify()).empty());
  co_return Result<>{};
}

Task<Result<>> count_damages(BackupRepository& repository, std::size_t* found) {
  *found = CO_TRY(co_await repository.verify()).size();
  co_return Result<>{};
}

TEST(Backup, PrunesAndFindsDamage) {
  sim::Disk disk;
  make(disk, contents_of(0, 60, 'a'), {});
  BackupGeneration made;
  ASSERT_TRUE(back_up(disk, {}, made).result);
  ASSERT_TRUE(back_up(disk, contents_of(0, 60, 'b'), made).result);
  const std::size_t before = files_with(disk, "/backup/").size();
  ASSERT_TRUE(live(disk, [&] { return with_repository("/backup", prune_to_one); }).result);
  EXPECT_LT(files_with(disk, "/backup/").size(), before);
  EXPECT_TRUE(restore(disk, 2, "/restored").result);
  EXPECT_EQ(read(disk, "/restored"), contents_of(0, 60, 'b'));
  for (const std::string& path : files_with(disk, "/backup/0")) {
    if (!path.ends_with(".table")) continue;
    ASSERT_EQ(disk.flip_bit(path, 10, 1), 0);
    std::size_t found = 0;
    EXPECT_TRUE(live(disk, [&] {
                  return with_repository("/backup",
                                         [&](BackupRepository& r) { return count_damages(r, &found); });
                }).result);
    EXPECT_GE(found, 1u) << path;
    ASSERT_EQ(disk.flip_bit(path, 10, 1), 0);
  }
}

TEST(Repair, LeavesWhatIsHealthyAlone) {
  sim::Disk disk;
  make(disk, contents_of(0, 60, 'a'), contents_of(60, 70, 'b'));
  const auto report = repair(disk);
  ASSERT_EQ(report.size(), 1u);
  EXPECT_TRUE(report[0].healthy);
  EXPECT_EQ(read(disk, "/data"), merged(contents_of(0, 60, 'a'), contents_of(60, 70, 'b')));
}

TEST(Repair, RebuildsALostManifestWithEveryKey) {
  sim::Disk disk;
  make(disk, contents_of(0, 120, 'a'), contents_of(30, 60, 'b'));
  make(disk, contents_of(10, 50, 'c'), contents_of(45, 130, 'd'));
  const Contents expected = read(disk, "/data");
  lose_manifest(disk);
  EXPECT_FALSE(verify(disk, "/data").damages.empty());
  const auto report = repair(disk);
  ASSERT_EQ(report.size(), 1u);
  EXPECT_TRUE(report[0].manifest_rebuilt);
  EXPECT_TRUE(report[0].lost.empty());
  EXPECT_EQ(read(disk, "/data"), expected);
  EXPECT_TRUE(verify(disk, "/data").damages.empty());
}

Task<Result<>> transfer_often(LsmStore& store) {
  for (int round = 0; round < 20; ++round) {
    CO_TRY(co_await transfer(store, round));
    if (round == 8) CO_TRY(co_await store.partition(PartitionId{0}).flush());
  }
  co_return Result<>{};
}

TEST(Repair, KeepsTransactionsThatAreCommitted) {
  sim::Disk disk;
  ASSERT_TRUE(live(disk, [&] { return with_store_at("/data", transfer_often, two_partitions()); }).result);
  const Contents expected = read(disk, "/data");
  EXPECT_EQ(sum_of(expected), account_sum);
  lose_manifest(disk);
  const auto report = repair(disk);
  ASSERT_EQ(report.size(), 2u);
  EXPECT_TRUE(report[0].log_salvaged);
  EXPECT_GT(report[0].records_salvaged, 5u);
  EXPECT_EQ(report[0].records_in_doubt, 0u);
  EXPECT_TRUE(report[1].healthy);
  EXPECT_EQ(read(disk, "/data"), expected);
  EXPECT_TRUE(verify(disk, "/data").damages.empty());
}

Task<Result<>> merge_all(LsmStore& store, const Contents* operands) {
  for (const auto& [key, operand] : *operands) {
    const StoredKey stored = store.stored(as_bytes(key));
    const auto ticket = CO_TRY(store.partition_for(stored).append(
        {.key = &stored, .value = as_bytes(operand), .kind = kv::Kind::merge}));
    CO_TRY(co_await ticket);
  }
  co_return Result<>{};
}

/// Of every key, by the first byte of its slot.
Task<Result<>> erase_slots(LsmStore& store, unsigned from, unsigned to) {
  const std::byte first[] = {std::byte{1}, std::byte(from), std::byte{0}};
  const std::byte end[] = {std::byte{1}, std::byte(to), std::byte{0}};
  const auto ticket = CO_TRY(store.partition(PartitionId{0}).erase_range(first, end));
  co_return co_await ticket;
}

/// Every kind of entry in tables, one of them for an erased range alone, and then in the log.
Task<Result<>> write_kinds(LsmStore& store) {
  const Contents puts = contents_of(0, 60, 'a'), operands = contents_of(40, 80, 'm');
  CO_TRY(co_await put_all(store, puts));
  CO_TRY(co_await store.partition(PartitionId{0}).flush());
  CO_TRY(co_await erase_slots(store, 0x08, 0x18));
  CO_TRY(co_await store.partition(PartitionId{0}).flush());
  CO_TRY(co_await merge_all(store, &operands));
  CO_TRY(co_await store.partition(PartitionId{0}).flush());
  CO_TRY(co_await merge_all(store, &operands));
  co_return co_await erase_slots(store, 0x20, 0x28);
}

TEST(Repair, KeepsMergeOperandsAndErasedRanges) {
  sim::Disk disk;
  LsmOptions options = copies_options();
  options.merge_operator = "append:,";
  const Ended made = live(disk, [&] { return with_store_at("/data", write_kinds, options); });
  ASSERT_TRUE(made.result) << made.result.error().to_string();
  const VerifyReport whole = verify(disk, "/data");
  EXPECT_TRUE(whole.damages.empty()) << whole.damages.front().error.to_string();
  const Contents expected = read(disk, "/data");
  EXPECT_GT(expected.size(), 20u);
  EXPECT_LT(expected.size(), 80u);
  lose_manifest(disk);
  const auto report = repair(disk);
  ASSERT_EQ(report.size(), 1u);
  EXPECT_TRUE(report[0].lost.empty());
  EXPECT_EQ(read(disk, "/data"), expected);
  EXPECT_TRUE(verify(disk, "/data").damages.empty());
}

TEST(Repair, SetsDamagedTablesAsideAndKeepsTheRest) {
  sim::Disk disk;
  make(disk, contents_of(0, 400, 'a'), {});
  const auto tables = files_with(disk, ".table");
  ASSERT_GT(tables.size(), 1u);
  ASSERT_EQ(disk.flip_bit(tables[0], 100, 1), 0);
  const auto report = repair(disk);
  ASSERT_EQ(report.size(), 1u);
  ASSERT_EQ(report[0].lost.size(), 1u);
  EXPECT_GT(report[0].lost[0].entries, 0u);
  const Contents left = read(disk, "/data");
  EXPECT_EQ(left.size(), 400 - report[0].lost[0].entries);
  const VerifyReport after = verify(disk, "/data");
  EXPECT_TRUE(after.damages.empty());
  EXPECT_EQ(after.quarantined_blobs, 1u);
}

TEST(Repair, SavesWhatADamagedLogStillHolds) {
  sim::Disk disk;
  make(disk, contents_of(0, 30, 'a'), contents_of(30, 40, 'b'));
  const std::vector<std::string> logs = files_with(disk, "/data/partition-0000/0.");
  bool damaged = false;
  for (const std::string& path : logs) {  // the first group behind which others are
    ASSERT_EQ(disk.flip_bit(path, 2 * 4096 + 100, 1), 0);
    if (!verify(disk, "/data").damages.empty()) {
      damaged = true;
      break;
    }
    ASSERT_EQ(disk.flip_bit(path, 2 * 4096 + 100, 1), 0);
  }
  ASSERT_TRUE(damaged);
  const auto report = repair(disk);
  ASSERT_EQ(report.size(), 1u);
  EXPECT_TRUE(report[0].log_salvaged);
  const Contents left = read(disk, "/data");
  EXPECT_GE(left.size(), 30u + 8u);
  for (const auto& [key, value] : left)
    EXPECT_EQ(value, merged(contents_of(0, 30, 'a'), contents_of(30, 40, 'b')).at(key));
  EXPECT_TRUE(verify(disk, "/data").damages.empty());
}

// Each of them with the power cut at every third change that it makes, before or after it; from which on, the
// seed says.

constexpr std::uint64_t cut_step = 3;

std::uint64_t first_cut() {
  return 1 + test_seed() % cut_step;
}

TEST(CopiesCrash, ACheckpointIsWholeOrIsNone) {
  const Contents tables = contents_of(0, 30, 'a'), log = contents_of(20, 34, 'b');
  std::uint64_t cut = 0;
  for (std::uint64_t at = first_cut();; at += cut_step) {
    sim::Disk disk;
    make(disk, tables, log);
    const Contents none;
    const Ended ended = live(
        disk,
        [&] {
          return with_store_at("/data",
                               [&](LsmStore& store) { return checkpoint_between(store, &none, &none); });
        },
        at);
    ASSERT_EQ(read(disk, "/data"), merged(tables, log)) << "cut at " << at;
    if (disk.contents("/copy/0.root")) {
      ASSERT_EQ(read(disk, "/copy"), merged(tables, log)) << "cut at " << at;
    } else {
      ASSERT_FALSE(ended.result) << "cut at " << at;
    }
    if (!ended.cut) break;
    ++cut;
  }
  EXPECT_GT(cut, 10u);
}

TEST(CopiesCrash, ABackupKeepsItsGenerations) {
  const Contents tables = contents_of(0, 30, 'a'), more = contents_of(20, 34, 'b');
  std::uint64_t cut = 0;
  for (std::uint64_t at = first_cut();; at += cut_step) {
    sim::Disk disk;
    make(disk, tables, {});
    BackupGeneration made;
    ASSERT_TRUE(back_up(disk, {}, made).result);
    const Ended ended = back_up(disk, more, made, at);
    ASSERT_TRUE(restore(disk, 1, "/one").result) << "cut at " << at;
    ASSERT_EQ(read(disk, "/one"), tables) << "cut at " << at;
    const Contents now = read(disk, "/data");
    BackupGeneration again;
    const Ended next = back_up(disk, {}, again);
    ASSERT_TRUE(next.result) << "cut at " << at << ": " << next.result.error().to_string();
    ASSERT_TRUE(restore(disk, again.number, "/again").result);
    ASSERT_EQ(read(disk, "/again"), now) << "cut at " << at;
    if (!ended.cut) break;
    ++cut;
  }
  EXPECT_GT(cut, 6u);
}

TEST(CopiesCrash, ARestoreGoesOnWhereItWasCut) {
  const Contents tables = contents_of(0, 60, 'a');
  std::uint64_t cut = 0;
  for (std::uint64_t at = first_cut();; at += cut_step) {
    sim::Disk disk;
    make(disk, tables, {});
    BackupGeneration made;
    ASSERT_TRUE(back_up(disk, {}, made).result);
    const Ended ended = restore(disk, 1, "/restored", at);
    const Ended again = restore(disk, 1, "/restored");
    ASSERT_TRUE(again.result || again.result.error().code == Errc::exists)
        << "cut at " << at << ": " << again.result.error().to_string();
    ASSERT_EQ(read(disk, "/restored"), tables) << "cut at " << at;
    if (!ended.cut) break;
    ++cut;
  }
  EXPECT_GT(cut, 6u);
}

/// A flush writes a table for each slice. Those of one that was cut short are no reason to pass over what the
/// log has.
TEST(CopiesCrash, AFlushThatWasCutShortAndALostManifestLoseNothing) {
  LsmOptions options = copies_options();
  options.memtable_bytes = 32u << 10;
  const Contents before = contents_of(100, 800, 'a'), flushed = contents_of(100, 160, 'b');
  const auto fill = [&](LsmStore& store) -> Task<Result<>> {
    CO_TRY(co_await put_all(store, before));
    co_return co_await flush_all(store);
  };
  std::uint64_t cut = 0, left_out = 0;
  for (std::uint64_t at = first_cut();; at += cut_step) {
    sim::Disk disk;
    ASSERT_TRUE(live(disk, [&] { return with_store_at("/data", fill, options); }).result);
    std::uint64_t tables = 0;
    bool written = false;
    const auto write = [&](LsmStore& store) -> Task<Result<>> {
      CO_TRY(co_await put_all(store, flushed));
      written = true;
      CO_TRY(co_await store.partition(PartitionId{0}).flush());
      tables = store.partition(PartitionId{0}).stats().levels[0].tables;
      co_return Result<>{};
    };
    const Ended ended = live(disk, [&] { return with_store_at("/data", write, options); }, at);
    if (!ended.cut) {
      EXPECT_GT(tables, 1u) << "it was cut into slices";
      break;
    }
    if (!written) continue;
    ++cut;
    lose_manifest(disk);
    left_out += repair(disk)[0].records_salvaged != 0;
    ASSERT_EQ(read(disk, "/data"), merged(before, flushed)) << "cut at " << at;
  }
  EXPECT_GT(cut, 4u);
  EXPECT_GT(left_out, 2u);
}

TEST(CopiesCrash, ARepairCanBeRepeated) {
  const Contents tables = contents_of(0, 40, 'a'), log = contents_of(30, 44, 'b');
  std::uint64_t cut = 0;
  for (std::uint64_t at = first_cut();; at += cut_step) {
    sim::Disk disk;
    make(disk, tables, log);
    lose_manifest(disk);
    std::vector<PartitionRepair> report;
    const Ended ended = live(disk, [&] { return repair_at("/data", &report); }, at);
    repair(disk);
    ASSERT_EQ(read(disk, "/data"), merged(tables, log)) << "cut at " << at;
    if (!ended.cut) break;
    ++cut;
  }
  EXPECT_GT(cut, 6u);
}

}  // namespace
}  // namespace ashlar::lsm

#pragma once

/// A data set, its copies and its backups on a simulated disk, for tests: each step is one life of the
/// machine.

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

#include "ashlar/kv/lsm/backup.h"
#include "ashlar/kv/lsm/checkpoint.h"
#include "ashlar/kv/lsm/repair.h"
#include "ashlar/kv/lsm/store_testing.h"

namespace ashlar::lsm::testing {

using Contents = std::map<std::string, std::string>;
using Step = std::function<Task<Result<>>()>;

struct Ended {
  Result<> result;
  bool cut = false;  ///< the power went
  std::map<std::string, std::uint64_t> cuts;
};

inline LsmOptions copies_options() {
  LsmOptions options = small_options();
  options.partitions = 1;
  options.memtable_bytes = 8u << 10;
  options.directory.reserve_bytes = 0;
  options.log.segment_bytes = 96u << 10;
  options.log.buffer_bytes = 16u << 10;
  return options;
}

inline Task<> run_step(const Step* step, Result<>* result) {
  *result = co_await (*step)();
}

/// One life: until the step has ended, or the power went at the `cut_at`th change, where that is not 0.
inline Ended live(sim::Disk& disk, const Step& step, std::uint64_t cut_at = 0) {
  static std::uint64_t seed = 0;
  sim::World world({.environment = {.seed = ++seed}}, disk);
  using Cut = sim::FileVerdict::Cut;
  if (cut_at != 0) world.faults().cut_at(cut_at, cut_at % 2 == 0 ? Cut::before : Cut::after);
  Ended ended{.result = fail(Errc::cancelled, "not run"), .cuts = {}};
  world.spawn(0, world.on(0, [&] { return run_step(&step, &ended.result); }));
  EXPECT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
  ended.cut = !world.environment().powered();
  ended.cuts = world.faults().cuts();
  return ended;
}

inline Task<Result<>> put_all(LsmStore& store, const Contents& contents) {
  for (const auto& [key, value] : contents) {
    const StoredKey stored = store.stored(as_bytes(key));
    const auto ticket =
        CO_TRY(store.partition_for(stored).append({.key = &stored, .value = as_bytes(value)}));
    CO_TRY(co_await ticket);
  }
  co_return Result<>{};
}

inline Task<Result<>> read_all(LsmStore& store, Contents* found) {
  for (std::uint16_t id = 0; id < store.partitions(); ++id) {
    const auto cursor = store.partition(PartitionId{id}).scan({});
    while (CO_TRY(co_await cursor->next()))
      (*found)[std::string(as_text(kv::user_key_of_stored(cursor->item().key)))] =
          std::string(as_text(cursor->item().value));
  }
  co_return Result<>{};
}

/// `options`: of partitions and merge operator, where the data set is new.
inline Task<Result<>> with_store_at(std::string path, std::function<Task<Result<>>(LsmStore&)> work,
                                    LsmOptions options = copies_options()) {
  const auto store = CO_TRY(co_await LsmStore::open(std::move(path), std::move(options), 1));
  const Result<> done = co_await work(*store);
  const Result<> closed = co_await store->close();
  co_return done ? closed : done;
}

inline std::unique_ptr<blob::Home> home_at(std::string path) {
  return blob::directory_home(std::move(path), copies_options().directory);
}

inline Task<Result<>> with_repository(std::string path,
                                      std::function<Task<Result<>>(BackupRepository&)> work) {
  const auto home = blob::directory_home(std::move(path), {.reserve_bytes = 0});
  const auto repository = CO_TRY(co_await BackupRepository::open(CO_TRY(co_await home->open_root())));
  const Result<> done = co_await work(*repository);
  const Result<> closed = co_await repository->close();
  co_return done ? closed : done;
}

inline Task<Result<>> verify_at(std::string path, VerifyReport* report) {
  const auto home = home_at(std::move(path));
  *report = CO_TRY(co_await verify_data_set(*home, {}));
  co_return Result<>{};
}

inline Task<Result<>> repair_at(std::string path, std::vector<PartitionRepair>* report) {
  const auto home = home_at(std::move(path));
  *report = CO_TRY(co_await repair_data_set(*home, copies_options(), {}));
  co_return Result<>{};
}

inline Contents read(sim::Disk& disk, const std::string& path) {
  Contents found;
  const Ended ended = live(
      disk, [&] { return with_store_at(path, [&](LsmStore& store) { return read_all(store, &found); }); });
  EXPECT_TRUE(ended.result) << path << ": " << ended.result.error().to_string();
  return found;
}

inline VerifyReport verify(sim::Disk& disk, const std::string& path) {
  VerifyReport report;
  const Ended ended = live(disk, [&] { return verify_at(path, &report); });
  EXPECT_TRUE(ended.result) << path << ": " << ended.result.error().to_string();
  return report;
}

/// Everything is in tables, and what is due to be merged is merged.
inline Task<Result<>> flush_all(LsmStore& store) {
  CO_TRY(co_await store.partition(PartitionId{0}).flush());
  co_return co_await store.partition(PartitionId{0}).settle_compaction();
}
/// Some of it in tables, some in the log.
inline Task<Result<>> write_parts(LsmStore& store, const Contents* tables, const Contents* log) {
  CO_TRY(co_await put_all(store, *tables));
  CO_TRY(co_await flush_all(store));
  co_return co_await put_all(store, *log);
}

/// What a repair of /data says.
inline std::vector<PartitionRepair> repair(sim::Disk& disk) {
  std::vector<PartitionRepair> report;
  const Ended ended = live(disk, [&] { return repair_at("/data", &report); });
  EXPECT_TRUE(ended.result) << ended.result.error().to_string();
  return report;
}

/// Of /data's first partition.
inline void lose_manifest(sim::Disk& disk) {
  for (const std::string& path : disk.files()) {
    if (path.starts_with("/data/partition-0000/1.")) ASSERT_EQ(disk.unlink(path), 0);
  }
}

/// A flipped bit of a table of /data, which is whole otherwise, is one damage; the bit is put right again.
inline void expect_flip_found(sim::Disk& disk, const std::string& path, std::uint64_t at, unsigned bit) {
  ASSERT_EQ(disk.flip_bit(path, at, bit), 0);
  const VerifyReport report = verify(disk, "/data");
  ASSERT_EQ(report.damages.size(), 1u) << path << " at " << at << " bit " << bit;
  EXPECT_EQ(report.damages[0].part, Damage::Part::table);
  EXPECT_EQ(report.damages[0].error.code, Errc::corrupt);
  ASSERT_EQ(disk.flip_bit(path, at, bit), 0);
}

/// Keys and values that fill several small tables.
inline Contents contents_of(int from, int to, char mark) {
  Contents contents;
  for (int i = from; i < to; ++i)
    contents["key-" + std::to_string(i)] = std::string(300, mark) + std::to_string(i);
  return contents;
}

}  // namespace ashlar::lsm::testing

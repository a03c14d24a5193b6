/// Bulk loading: order, place, what hides what, and power cuts at every step.

#include "ashlar/kv/lsm/ingest.h"

#include <set>

#include "ashlar/kv/lsm/copies_testing.h"
#include "ashlar/kv/lsm/shape.h"
#include "ashlar/kv/store_transaction.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::lsm {
namespace {

using namespace testing;

/// Stored keys in order of storage.
std::map<std::string, std::string> stored(const LsmStore& store, const Contents& contents) {
  std::map<std::string, std::string> result;
  for (const auto& [key, value] : contents)
    result[std::string(as_text(store.stored(as_bytes(key)).bytes()))] = value;
  return result;
}

Task<Result<>> add_all(PartitionIngest& ingest, std::map<std::string, std::string> entries) {
  for (const auto& [key, value] : entries) CO_TRY(co_await ingest.add(as_bytes(key), as_bytes(value)));
  co_return Result<>{};
}

Task<Result<>> ingest_all(LsmStore& store, const Contents* contents, IngestReport* report = nullptr) {
  const auto ingest = CO_TRY(PartitionIngest::begin(store.partition(PartitionId{0})));
  if (const Result<> added = co_await add_all(*ingest, stored(store, *contents)); !added) {
    co_await ingest->abandon();
    co_return added;
  }
  const IngestReport made = CO_TRY(co_await ingest->commit());
  EXPECT_EQ(made.entries, contents->size());
  if (report != nullptr) *report = made;
  co_return Result<>{};
}

Contents merged(Contents a, const Contents& b) {
  for (const auto& [key, value] : b) a[key] = value;
  return a;
}

using Work = std::function<Task<Result<>>(LsmStore&)>;
Ended with_store(sim::Disk& disk, const Work& work, std::uint64_t cut_at = 0) {
  return live(disk, [&] { return with_store_at("/data", work); }, cut_at);
}
void must(sim::Disk& disk, const Work& work) {
  const Ended ended = with_store(disk, work);
  ASSERT_TRUE(ended.result) << ended.result.error().to_string();
}

Task<Result<>> flush(LsmStore& store) {
  CO_TRY(co_await store.partition(PartitionId{0}).flush());
  co_return co_await store.partition(PartitionId{0}).settle_compaction();
}

TEST(Ingest, GoesToTheLastLevelWhereNothingIs) {
  sim::Disk disk;
  const Contents contents = contents_of(0, 300, 'i');
  IngestReport report;
  must(disk, [&](LsmStore& store) { return ingest_all(store, &contents, &report); });
  EXPECT_EQ(report.entries, 300u);
  EXPECT_GT(report.tables, 1u) << "it is cut";
  EXPECT_EQ(report.tables_by_level[bottom_level], report.tables);
  EXPECT_EQ(read(disk, "/data"), contents);
  const VerifyReport found = verify(disk, "/data");
  EXPECT_TRUE(found.damages.empty()) << found.damages.front().error.to_string();
  EXPECT_EQ(found.entries, 300u);
  EXPECT_EQ(found.unreferenced_tables, 0u);
}

Task<Result<>> before_and_after(LsmStore& store, const Contents* flushed, const Contents* in_memory,
                                const Contents* ingested, const Contents* later) {
  CO_TRY(co_await put_all(store, *flushed));
  CO_TRY(co_await flush(store));
  CO_TRY(co_await put_all(store, *in_memory));
  CO_TRY(co_await ingest_all(store, ingested));
  co_return co_await put_all(store, *later);
}

Task<Result<>> compact(LsmStore& store) {
  LsmPartition& partition = store.partition(PartitionId{0});
  CO_TRY(co_await partition.compact_all());
  EXPECT_EQ(partition.stats().levels[bottom_level].tables, partition.stats().table_count);
  EXPECT_EQ(partition.stats().levels[bottom_level].runs, 1u);
  co_return Result<>{};
}

TEST(Ingest, HidesWhatIsOlderAndIsHiddenByWhatIsNewer) {
  sim::Disk disk;
  const Contents flushed = contents_of(0, 60, 'f'), in_memory = contents_of(40, 80, 'm'),
                 ingested = contents_of(20, 70, 'i'), later = contents_of(30, 35, 'l');
  must(disk,
       [&](LsmStore& store) { return before_and_after(store, &flushed, &in_memory, &ingested, &later); });
  const Contents expected = merged(merged(merged(flushed, in_memory), ingested), later);
  EXPECT_EQ(read(disk, "/data"), expected);
  EXPECT_TRUE(verify(disk, "/data").damages.empty());
  // Merged with the others, its entries keep their sequence.
  must(disk, compact);
  EXPECT_EQ(read(disk, "/data"), expected);
  const VerifyReport found = verify(disk, "/data");
  EXPECT_TRUE(found.damages.empty());
  EXPECT_EQ(found.entries, expected.size()) << "one version of each key is left";
}

Task<Result<>> levels_of(LsmStore& store, const Contents* contents, std::vector<std::uint64_t>* levels) {
  IngestReport report;
  CO_TRY(co_await ingest_all(store, contents, &report));
  *levels = report.tables_by_level;
  co_return Result<>{};
}

TEST(Ingest, GoesAsDeepAsItsKeysAllow) {
  sim::Disk disk;
  // Keys in one slot, so that ranges of them are ranges of storage.
  const auto tagged = [](char from, char to) {
    Contents contents;
    for (char c = from; c <= to; ++c) contents[std::string("{t}") + c] = std::string(100, c);
    return contents;
  };
  const Contents a = tagged('a', 'f'), b = tagged('p', 'z'), c = tagged('c', 'h');
  std::vector<std::uint64_t> first, beside, above;
  must(disk, [&](LsmStore& store) { return levels_of(store, &a, &first); });
  must(disk, [&](LsmStore& store) { return levels_of(store, &b, &beside); });
  must(disk, [&](LsmStore& store) { return levels_of(store, &c, &above); });
  EXPECT_EQ(first[bottom_level], 1u);
  EXPECT_EQ(beside[bottom_level], 1u);
  EXPECT_EQ(above[bottom_level - 1], 1u);
  EXPECT_EQ(read(disk, "/data"), merged(merged(a, b), c));
  EXPECT_TRUE(verify(disk, "/data").damages.empty());
}

Task<Result<>> put_and_ingest(LsmStore& store, const Contents* contents, std::vector<std::uint64_t>* levels) {
  CO_TRY(co_await put_all(store, *contents));
  co_return co_await levels_of(store, contents, levels);
}

TEST(Ingest, OnLevelZeroItIsANewRun) {
  sim::Disk disk;
  const Contents contents = contents_of(0, 4, 'x');
  std::vector<std::uint64_t> levels;
  must(disk, [&](LsmStore& store) { return put_and_ingest(store, &contents, &levels); });
  EXPECT_EQ(levels[0], 1u) << "above what was flushed for its sake";
  EXPECT_EQ(read(disk, "/data"), contents);
}

Task<Result<>> out_of_order(LsmStore& store) {
  LsmPartition& partition = store.partition(PartitionId{0});
  const auto ingest = CO_TRY(PartitionIngest::begin(partition));
  const StoredKey a(kv::KeyType::value, kv::Slot{1}, as_bytes("a")),
      b(kv::KeyType::value, kv::Slot{1}, as_bytes("b"));
  CO_TRY(co_await ingest->add(b.bytes(), as_bytes("1")));
  for (const StoredKey& key : {a, b}) {
    const auto added = co_await ingest->add(key.bytes(), as_bytes("2"));
    EXPECT_FALSE(added);
    EXPECT_EQ(added.error().code, Errc::conflict);
    EXPECT_EQ(added.error().object, 2u) << "the second entry";
  }
  const StoredKey other(static_cast<kv::KeyType>(0x85), kv::Slot{1}, as_bytes("c"));
  EXPECT_EQ((co_await ingest->add(other.bytes(), as_bytes("2"))).error().code, Errc::invalid);
  co_await ingest->abandon();
  co_return Result<>{};
}

TEST(Ingest, WhatDoesNotAscendIsRefusedAndNothingStays) {
  sim::Disk disk;
  must(disk, out_of_order);
  EXPECT_TRUE(read(disk, "/data").empty());
  for (const std::string& path : disk.files()) EXPECT_EQ(path.find(".table"), path.npos) << path;
}

Task<Result<>> read_by(LsmStore& store, const kv::Snapshot& snapshot, const Contents* expected) {
  for (const auto& [key, value] : *expected) {
    const StoredKey at = store.stored(as_bytes(key));
    const auto found = CO_TRY(co_await store.partition(PartitionId{0}).get(at, {.snapshot = &snapshot}));
    EXPECT_TRUE(found && as_text(found->bytes) == value) << key;
  }
  co_return Result<>{};
}

Task<Result<>> snapshot_before(LsmStore& store, const Contents* old, const Contents* ingested) {
  CO_TRY(co_await put_all(store, *old));
  LsmPartition& partition = store.partition(PartitionId{0});
  const kv::Snapshot snapshot(partition);
  CO_TRY(co_await ingest_all(store, ingested));
  CO_TRY(co_await read_by(store, snapshot, old));
  CO_TRY(co_await partition.compact_all());
  CO_TRY(co_await read_by(store, snapshot, old));
  const kv::Snapshot after(partition);
  co_return co_await read_by(store, after, ingested);
}

TEST(Ingest, ASnapshotTakenBeforeDoesNotSeeIt) {
  sim::Disk disk;
  const Contents old = contents_of(0, 50, 'o'), ingested = contents_of(0, 50, 'i');
  must(disk, [&](LsmStore& store) { return snapshot_before(store, &old, &ingested); });
}

Task<Result<>> transaction_across(LsmStore& store, const Contents* ingested) {
  const StoredKey key = store.stored(as_bytes(ingested->begin()->first));
  kv::StoreTransaction transaction(store);
  CO_TRY(co_await transaction.get(key));
  CO_TRY(co_await transaction.put(key, as_bytes("of the transaction")));
  CO_TRY(co_await ingest_all(store, ingested));
  const auto committed = co_await transaction.commit();
  EXPECT_FALSE(committed);
  if (!committed) EXPECT_EQ(committed.error().code, Errc::conflict);
  co_return Result<>{};
}

TEST(Ingest, ATransactionThatBeganBeforeFindsAConflict) {
  sim::Disk disk;
  const Contents ingested = contents_of(0, 10, 'i');
  must(disk, [&](LsmStore& store) { return transaction_across(store, &ingested); });
  EXPECT_EQ(read(disk, "/data"), ingested);
}

Task<Result<>> write_until(LsmStore* store, const bool* done, Contents* written) {
  for (int i = 0; !*done; ++i) {
    const Contents one = contents_of(i % 400, i % 400 + 1, static_cast<char>('A' + i / 400 % 26));
    CO_TRY(co_await put_all(*store, one));
    (*written)[one.begin()->first] = one.begin()->second;
    CO_TRY(co_await sleep_for(std::chrono::microseconds(50)));
  }
  co_return Result<>{};
}

/// `beside`: what was written while the last of them was under way; `written`: since then.
Task<Result<>> ingest_often(LsmStore* store, bool* done, Contents* written, Contents* beside) {
  Result<> result;
  for (int round = 0; result && round < 12; ++round) {
    Contents batch = contents_of(100, 200, static_cast<char>('a' + round));
    written->clear();
    result = co_await ingest_all(*store, &batch);
    *beside = std::exchange(*written, {});
  }
  *done = true;
  co_return result;
}

Task<Result<>> beside_writers(LsmStore& store, Contents* written, Contents* beside) {
  bool done = false;
  auto [wrote, ingested] =
      co_await when_all(write_until(&store, &done, written), ingest_often(&store, &done, written, beside));
  CO_TRY(wrote);
  co_return ingested;
}

TEST(Ingest, WritersFlushesAndCompactionsGoOnBeside) {
  sim::Disk disk;
  Contents written, beside;
  must(disk, [&](LsmStore& store) { return beside_writers(store, &written, &beside); });
  const Contents found = read(disk, "/data");
  for (const auto& [key, value] : written)
    EXPECT_EQ(found.at(key), value) << "acknowledged after the last of them";
  for (const auto& [key, value] : contents_of(100, 200, 'l')) {
    if (written.contains(key)) continue;
    const auto other = beside.find(key);  // before it, or after
    EXPECT_TRUE(found.at(key) == value || (other != beside.end() && found.at(key) == other->second)) << key;
  }
  EXPECT_TRUE(verify(disk, "/data").damages.empty());
}

/// What a snapshot sees of a key, by a get and by a scan.
Task<Result<std::string>> seen_by(LsmPartition& partition, const kv::Snapshot& snapshot,
                                  const StoredKey& key) {
  const auto found = CO_TRY(co_await partition.get(key, {.snapshot = &snapshot}));
  std::string text = found ? std::string(as_text(found->bytes)) : "nothing";
  const auto cursor = partition.scan({.first = key.bytes(), .read = {.snapshot = &snapshot}, .limit = 1});
  if (CO_TRY(co_await cursor->next())) text += as_text(cursor->item().value);
  co_return text;
}

/// Looks at a key by one snapshot after the other, twice each.
Task<Result<>> look_twice(LsmStore* store, const bool* done, Duration between, int* looks) {
  LsmPartition& partition = store->partition(PartitionId{0});
  const StoredKey key = store->stored(as_bytes(contents_of(150, 151, 'x').begin()->first));
  while (!*done) {
    const kv::Snapshot snapshot(partition);
    const std::string first = CO_TRY(co_await seen_by(partition, snapshot, key));
    CO_TRY(co_await sleep_for(between));
    EXPECT_EQ(CO_TRY(co_await seen_by(partition, snapshot, key)), first);
    ++*looks;
  }
  co_return Result<>{};
}

Task<Result<>> beside_snapshots(LsmStore& store, int* looks) {
  bool done = false;
  Contents written, beside;
  std::vector<Task<Result<>>> tasks;
  tasks.push_back(write_until(&store, &done, &written));
  tasks.push_back(ingest_often(&store, &done, &written, &beside));
  for (const int us : {20, 70, 300, 1000, 5000})
    tasks.push_back(look_twice(&store, &done, std::chrono::microseconds(us), looks));
  for (Result<>& result : co_await when_all(std::move(tasks))) CO_TRY(std::move(result));
  co_return Result<>{};
}

TEST(Ingest, ASnapshotSeesTheSameBeforeAndAfter) {
  sim::Disk disk;
  int looks = 0;
  must(disk, [&](LsmStore& store) { return beside_snapshots(store, &looks); });
  EXPECT_GT(looks, 100);
}

TEST(Ingest, AfterAPowerCutAtAnyStepItIsThereWholeOrNotAtAll) {
  const Contents before = contents_of(0, 30, 'b'), ingested = contents_of(10, 60, 'i');
  const Contents after = merged(before, ingested);
  bool cut = true;
  std::size_t with = 0, without = 0;
  for (std::uint64_t at = 1; cut && at < 400; ++at) {
    sim::Disk disk;
    must(disk, [&](LsmStore& store) { return put_all(store, before); });
    const Ended ended = with_store(disk, [&](LsmStore& store) { return ingest_all(store, &ingested); }, at);
    cut = ended.cut;
    const Contents found = read(disk, "/data");
    if (ended.result) EXPECT_EQ(found, after) << "cut at " << at;
    ASSERT_TRUE(found == before || found == after) << "cut at " << at;
    ++(found == after ? with : without);
    const VerifyReport report = verify(disk, "/data");
    ASSERT_TRUE(report.damages.empty())
        << "cut at " << at << ": " << report.damages.front().error.to_string();
    EXPECT_EQ(report.unreferenced_tables, 0u) << "the open before has removed them";
  }
  EXPECT_FALSE(cut) << "every step was reached";
  EXPECT_GT(with, 0u);
  EXPECT_GT(without, 0u);
}

TEST(Ingest, WithoutAManifestItIsRepaired) {
  sim::Disk disk;
  const Contents old = contents_of(0, 40, 'o'), ingested = contents_of(20, 60, 'i');
  must(disk, [&](LsmStore& store) { return put_all(store, old); });
  must(disk, [&](LsmStore& store) { return ingest_all(store, &ingested); });
  for (const std::string& path : disk.files()) {
    if (path.find("/1.") != path.npos && path.ends_with(".log")) ASSERT_EQ(disk.unlink(path), 0);
  }
  std::vector<PartitionRepair> repaired;
  const Ended ended = live(disk, [&] { return repair_at("/data", &repaired); });
  ASSERT_TRUE(ended.result) << ended.result.error().to_string();
  EXPECT_EQ(read(disk, "/data"), merged(old, ingested));
}

Task<Result<>> compact_while_others_work(LsmStore& store) {
  for (int i = 0; i < 3; ++i) CO_TRY(co_await store.partition(PartitionId{0}).compact_all());
  co_return Result<>{};
}

/// At once: three that have keys in common, a compaction of everything, and puts.
Task<Result<>> all_at_once(LsmStore& store, const std::vector<Contents>* ingested, const Contents* put) {
  std::vector<Task<Result<>>> working;
  for (const Contents& contents : *ingested) working.push_back(ingest_all(store, &contents));
  working.push_back(compact_while_others_work(store));
  working.push_back(put_all(store, *put));
  for (const Result<>& done : co_await when_all(std::move(working))) CO_TRY(done);
  EXPECT_FALSE(store.partition(PartitionId{0}).stop_reason());
  co_return Result<>{};
}

TEST(Ingest, SeveralAtOnceTakeTurns) {
  sim::Disk disk;
  const std::vector<Contents> ingested{contents_of(0, 60, 'a'), contents_of(30, 90, 'b'),
                                       contents_of(10, 80, 'c')};
  const Contents before = contents_of(0, 90, '0'), put = contents_of(200, 260, 'p');
  must(disk, [&](LsmStore& store) { return put_all(store, before); });
  must(disk, [&](LsmStore& store) { return all_at_once(store, &ingested, &put); });
  const Contents found = read(disk, "/data");
  EXPECT_EQ(found.size(), before.size() + put.size());
  for (const auto& [key, value] : put) EXPECT_EQ(found.at(key), value);
  const Contents last = contents_of(30, 60, '?');  // keys of all three: whole ingests hide each other
  std::set<char> marks;
  for (const auto& [key, value] : last) marks.insert(found.at(key)[0]);
  EXPECT_EQ(marks.size(), 1u) << "keys that all three have are of the one that came last";
  EXPECT_TRUE(verify(disk, "/data").damages.empty());
}

}  // namespace
}  // namespace ashlar::lsm

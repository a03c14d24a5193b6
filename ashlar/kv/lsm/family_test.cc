/// Column families: made, used, dropped and found again; with their own rules; through power cuts.

#include <gtest/gtest.h>

#include <algorithm>

#include "ashlar/kv/lsm/store_testing.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {
namespace {

using kv::Kind;
using testing::small_options;

class FamilyTest : public testing::StoreTest {
 protected:
  static LsmOptions two_partitions() {
    LsmOptions options = small_options();
    options.partitions = 2;
    return options;
  }
  static StoredKey key(const LsmStore& store, const kv::Family& family, std::string_view name) {
    return store.stored(as_bytes(name), family.key_type());
  }
  static Task<Result<>> write(LsmStore& store, StoredKey at, std::string value, Kind kind = Kind::put) {
    const auto ticket =
        CO_TRY(store.partition_for(at).append({.key = &at, .value = as_bytes(value), .kind = kind}));
    co_return co_await ticket;
  }
  static Task<std::string> read(LsmStore& store, StoredKey at, std::uint64_t now_ms = 0) {
    const auto value = co_await store.partition_for(at).get(at, {.now_ms = now_ms});
    if (!value) co_return value.error().to_string();
    co_return *value ? std::string(as_text((*value)->bytes)) : "(absent)";
  }
  /// Keys of a family, over all partitions.
  static Task<std::size_t> count(LsmStore& store, kv::Family family) {
    const kv::KeyRange range = family.range();
    std::size_t keys = 0;
    for (std::uint16_t id = 0; id < store.partitions(); ++id) {
      const auto cursor = store.partition(PartitionId{id})
                              .scan({.first = as_bytes(range.first), .last = as_bytes(range.end)});
      while ((co_await cursor->next()).value_or(false)) ++keys;
    }
    co_return keys;
  }
  using PartitionId = kv::PartitionId;
};

TEST_F(FamilyTest, AreApartAndFoundAgain) {
  EXPECT_TRUE(with_store(1, two_partitions(), [](LsmStore& store) -> Task<> {
    const auto users = co_await store.create_family("users");
    const auto sessions = co_await store.create_family("sessions", {.ttl_ms = 1000});
    EXPECT_TRUE(users && sessions);
    EXPECT_EQ((co_await store.create_family("users")).error().code, Errc::exists);
    EXPECT_EQ((co_await store.create_family("")).error().code, Errc::invalid);
    EXPECT_EQ((co_await store.create_family("x", {.merge_operator = "unheard of"})).error().code,
              Errc::invalid);
    EXPECT_TRUE(co_await put(store, "a", "own"));
    EXPECT_TRUE(co_await write(store, key(store, *users, "a"), "user"));
    EXPECT_TRUE(co_await write(store, key(store, *sessions, "a"), "session"));
    EXPECT_EQ((co_await get(store, "a")).value(), "own");
  }));
  EXPECT_TRUE(with_store(2, two_partitions(), [](LsmStore& store) -> Task<> {
    EXPECT_EQ(store.families().size(), 2u);
    const auto users = store.family("users");
    EXPECT_TRUE(users && store.family("sessions"));
    EXPECT_EQ(store.family("sessions")->options.ttl_ms, 1000u);
    EXPECT_EQ(store.family("others").error().code, Errc::not_found);
    EXPECT_EQ((co_await get(store, "a")).value(), "own");
    const StoredKey at = key(store, *users, "a");
    if (store.home_of(store.partition_of(at)) == Shard::current().id())
      EXPECT_EQ(co_await read(store, at), "user");
  }));
}

TEST_F(FamilyTest, ABatchAcrossFamiliesIsOne) {
  LsmOptions options = small_options();
  options.partitions = 1;
  EXPECT_TRUE(with_store(1, options, [](LsmStore& store) -> Task<> {
    const auto one = co_await store.create_family("one"), two = co_await store.create_family("two");
    const StoredKey a = key(store, *one, "k"), b = key(store, *two, "k");
    const kv::Write batch[] = {{.key = &a, .value = as_bytes("1")}, {.key = &b, .value = as_bytes("2")}};
    const auto ticket = store.partition(PartitionId{0}).append(batch, kv::Durability::durable);
    EXPECT_TRUE(ticket && co_await *ticket);
    EXPECT_EQ(co_await read(store, a), "1");
    EXPECT_EQ(co_await read(store, b), "2");
    EXPECT_EQ(co_await count(store, *one), 1u);
  }));
}

TEST_F(FamilyTest, HaveTheirOwnOperatorAndTtl) {
  LsmOptions options = two_partitions();
  options.merge_operator = "append";
  EXPECT_TRUE(with_store(1, options, [&](LsmStore& store) -> Task<> {
    const auto joined =
        co_await store.create_family("joined", {.merge_operator = "append:,", .ttl_ms = 5000});
    const auto plain = co_await store.create_family("plain");
    for (const char* operand : {"a", "b"}) {
      EXPECT_TRUE(co_await write(store, key(store, *joined, "k"), operand, Kind::merge));
      EXPECT_TRUE(co_await write(store, store.stored(as_bytes("k")), operand, Kind::merge));
    }
    const auto refused = co_await write(store, key(store, *plain, "k"), "a", Kind::merge);
    EXPECT_EQ(refused.error().code, Errc::unsupported);
    EXPECT_EQ(co_await read(store, key(store, *joined, "k")), "a,b");
    EXPECT_EQ(co_await read(store, store.stored(as_bytes("k"))), "ab");
    const std::uint64_t later = world_->environment().wall_ms() + 10'000;
    EXPECT_EQ(co_await read(store, key(store, *joined, "k"), later), "(absent)");
  }));
  const auto nothing = [](LsmStore&) -> Task<> { co_return; };
  options.merge_operator = "add64";
  EXPECT_EQ(with_store(1, options, nothing).error().code, Errc::invalid);
  options.merge_operator = "";
  EXPECT_TRUE(with_store(1, options, [](LsmStore& store) -> Task<> {  // the recorded one
    EXPECT_EQ(co_await read(store, store.stored(as_bytes("k"))), "ab");
  }));
}

TEST_F(FamilyTest, AnOperatorThatIsNotRegisteredIsMissed) {
  class Own final : public kv::MergeOperator {
   public:
    std::string_view name() const noexcept override { return "own"; }
    Result<> merge(Bytes, std::optional<Bytes>, std::span<const Bytes> operands,
                   std::vector<std::byte>& result) const override {
      result.assign(operands.back().begin(), operands.back().end());
      return {};
    }
  };
  kv::MergeOperators operators;
  EXPECT_TRUE(operators.add(std::make_unique<Own>()));
  LsmOptions options = two_partitions();
  options.merge_operators = &operators;
  EXPECT_TRUE(with_store(1, options, [](LsmStore& store) -> Task<> {
    EXPECT_TRUE(co_await store.create_family("family", {.merge_operator = "own"}));
  }));
  const auto nothing = [](LsmStore&) -> Task<> { co_return; };
  options.merge_operators = nullptr;
  EXPECT_EQ(with_store(1, options, nothing).error().code, Errc::unsupported);
}

TEST_F(FamilyTest, ADroppedOneIsGoneAndItsSpaceComesBack) {
  EXPECT_TRUE(with_store(1, two_partitions(), [](LsmStore& store) -> Task<> {
    const auto family = co_await store.create_family("family");
    for (int i = 0; i < 200; ++i) {
      EXPECT_TRUE(co_await write(store, key(store, *family, name(i)), std::string(500, 'v')));
    }
    EXPECT_TRUE(co_await put(store, "own", "stays"));
    EXPECT_TRUE(co_await store.drop_family("family"));
    EXPECT_EQ((co_await store.drop_family("family")).error().code, Errc::not_found);
    EXPECT_EQ(co_await count(store, *family), 0u);
    EXPECT_EQ((co_await write(store, key(store, *family, "k"), "v")).error().code, Errc::not_found);
    for (std::uint16_t id = 0; id < 2; ++id) {
      EXPECT_TRUE(store.partition(PartitionId{id}).holds(family->range()));
      EXPECT_TRUE(co_await store.partition(PartitionId{id}).flush());
      EXPECT_TRUE(co_await store.partition(PartitionId{id}).settle_compaction());
      EXPECT_FALSE(store.partition(PartitionId{id}).holds(family->range()));
    }
    EXPECT_EQ((co_await get(store, "own")).value(), "stays");
    const auto again = co_await store.create_family("family");
    EXPECT_TRUE(again);
    EXPECT_NE(again->number, family->number);
  }));
}

TEST_F(FamilyTest, ASnapshotSeesMergedKeysOfOneThatIsDropped) {
  const auto merged = [](LsmStore& store, StoredKey at, const kv::Snapshot& snapshot) -> Task<std::string> {
    const auto value = co_await store.partition_for(at).get(at, {.snapshot = &snapshot});
    if (!value) co_return value.error().to_string();
    co_return *value ? std::string(as_text((*value)->bytes)) : "(absent)";
  };
  EXPECT_TRUE(with_store(1, two_partitions(), [&](LsmStore& store) -> Task<> {
    const auto family = co_await store.create_family("lists", {.merge_operator = "append:,"});
    EXPECT_TRUE(family);
    const StoredKey list = key(store, *family, "list");
    for (const char* operand : {"a", "b"}) EXPECT_TRUE(co_await write(store, list, operand, Kind::merge));
    {
      const kv::Snapshot before(store.clock());
      EXPECT_TRUE(co_await store.drop_family("lists"));
      EXPECT_EQ(co_await merged(store, list, before), "a,b");
      EXPECT_EQ((co_await write(store, list, "c", Kind::merge)).error().code, Errc::not_found);
    }
    EXPECT_EQ(co_await read(store, list), "(absent)");
  }));
}

TEST_F(FamilyTest, ANumberIsUsedAgainOnceItsKeysAreGone) {
  LsmOptions options = small_options();
  options.partitions = 1;
  EXPECT_TRUE(with_store(1, options, [](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(PartitionId{0});
    for (std::uint32_t i = 0; i < kv::family_count_max; ++i)
      EXPECT_TRUE(co_await store.create_family("family " + std::to_string(i)));
    EXPECT_EQ((co_await store.create_family("one more")).error().code, Errc::no_space);
    const auto family = store.family("family 7");
    EXPECT_TRUE(co_await write(store, key(store, *family, "k"), "old"));
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await store.drop_family("family 7"));
    EXPECT_EQ((co_await store.create_family("one more")).error().code, Errc::no_space);
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(co_await partition.settle_compaction());
    const auto reused = co_await store.create_family("one more");
    EXPECT_TRUE(reused);
    EXPECT_EQ(reused->number, family->number);
    EXPECT_EQ(co_await read(store, key(store, *reused, "k")), "(absent)");
  }));
}

// A range that was erased before, up to the middle of the family: a table that was written since has dropped
// what it covers, and holds the rest all the same.
TEST_F(FamilyTest, ADropThatWasCutShortIsFinishedWhateverWasErasedBefore) {
  LsmOptions options = small_options();
  options.partitions = 1;
  options.level0_tables = 8;
  std::optional<kv::Family> family;
  EXPECT_FALSE(with_store(1, options, [&](LsmStore& store) -> Task<> {
    LsmPartition& partition = store.partition(PartitionId{0});
    const auto made = co_await store.create_family("family");
    EXPECT_TRUE(made);
    family = *made;
    const StoredKey own = store.stored(as_bytes("own")), rest = key(store, *family, "rest");
    EXPECT_TRUE(co_await write(store, own, "covered, and in a table"));
    EXPECT_TRUE(co_await partition.flush());
    const auto erased = partition.erase_range(own.bytes(), rest.bytes());
    EXPECT_TRUE(erased && co_await *erased);
    EXPECT_TRUE(co_await write(store, rest, "v"));
    EXPECT_TRUE(co_await partition.flush());
    EXPECT_TRUE(partition.holds(family->range()));
    // The root record says that it is dropped, and the log takes nothing more.
    world_->faults().add({.code = OpCode::write, .path_part = "/0.0", .nth = 0, .verdict = {.error = EIO}});
    EXPECT_FALSE(co_await store.drop_family("family"));
    world_->faults().clear();
  }));
  EXPECT_TRUE(with_store(1, options, [&](LsmStore& store) -> Task<> {
    EXPECT_FALSE(store.family("family"));
    EXPECT_EQ(co_await count(store, *family), 0u);
  }));
}

/// Power goes at every third operation of making a family, filling and dropping it. Whatever is left, a
/// family that is there has its key, and one that is not there shows none.
TEST_F(FamilyTest, SurvivesAPowerCutWhereverItIs) {
  LsmOptions options = small_options();
  options.partitions = 2;
  struct Progress {
    bool made = false, written = false, dropped = false;
  };
  static constexpr auto work = [](LsmOptions with, Progress* progress) -> Task<> {
    auto store = co_await LsmStore::open("/data", with, 1);
    if (!store) co_return;
    const auto family = co_await (*store)->create_family("family");
    progress->made = family.has_value();
    if (family) {
      progress->written = (co_await write(**store, key(**store, *family, "k"), "v")).has_value();
      const auto dropped = co_await (*store)->drop_family("family");
      progress->dropped = dropped.has_value();
    }
    (void)co_await (*store)->close();
  };
  for (std::uint64_t at = 1;; at += 3) {
    SCOPED_TRACE("cut at " + std::to_string(at));
    disk_ = sim::Disk();
    ASSERT_TRUE(with_store(1, options, [](LsmStore&) -> Task<> { co_return; }));
    Progress progress;
    bool survived = false;
    {
      sim::World world({.environment = {.seed = at}}, disk_);
      world.faults().cut_at(at, at % 2 == 0 ? sim::FileVerdict::Cut::before : sim::FileVerdict::Cut::after);
      world.spawn(0, world.on(0, [&] { return work(options, &progress); }));
      ASSERT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
      survived = world.environment().powered();
    }
    EXPECT_TRUE(with_store(1, options, [&](LsmStore& store) -> Task<> {
      const auto family = store.family("family");
      const kv::Family first{.name = "family", .options = {}};
      if (progress.dropped) EXPECT_FALSE(family);
      if (progress.made && !progress.written) EXPECT_LE(co_await count(store, first), 1u);
      if (family && progress.written) EXPECT_EQ(co_await read(store, key(store, *family, "k")), "v");
      if (!family) EXPECT_EQ(co_await count(store, first), 0u);
    }));
    ASSERT_FALSE(HasFailure());
    if (survived) {
      EXPECT_TRUE(progress.dropped);
      EXPECT_GT(at, 5u);
      break;
    }
  }
}

}  // namespace
}  // namespace ashlar::lsm

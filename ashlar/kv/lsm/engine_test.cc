/// The engine against a model, on a simulated disk: random operations by several tasks, clean reopens, power
/// cuts, kills, failing operations. ASHLAR_SEED replays a run; ASHLAR_ROUNDS makes more of them.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "ashlar/base/random.h"
#include "ashlar/kv/lsm/test_model.h"
#include "ashlar/kv/lsm/test_partition.h"
#include "ashlar/kv/lsm/test_seed.h"
#include "ashlar/kv/transaction.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/sim/world.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::lsm {
namespace {

using kv::Direction;
using kv::Durability;

LsmOptions small_options(Random& random) {
  LsmOptions options;
  options.memtable_bytes = random.between(8, 64) << 10;
  options.memtables_max = static_cast<std::uint32_t>(random.between(2, 4));
  options.level0_tables = static_cast<std::uint32_t>(random.between(1, 4));
  options.level1_bytes = random.between(16, 128) << 10;
  options.goal = static_cast<Goal>(random.below(4));
  options.level0_tables_max = static_cast<std::uint32_t>(random.between(4, 16));
  options.table_bytes = random.between(16, 64) << 10;
  options.table.block_bytes = random.one_in(2) ? 4096 : 16384;
  options.compression = static_cast<CompressionPolicy>(random.below(5));
  options.table.filter_bits_per_key = random.one_in(4) ? 0 : 10;
  options.separate_bytes = random.one_in(3) ? 0 : random.between(1, 300);
  options.log.segment_bytes = 128u << 10;
  options.log.buffer_bytes = random.one_in(2) ? 4096 : 65536;
  options.directory.reserve_bytes = 1u << 20;
  return options;
}

std::string difference(const Model::Contents& found, const Model::Contents& expected) {
  std::string text;
  for (const auto& [key, value] : found) {
    const auto other = expected.find(key);
    if (other == expected.end()) text += " unexpected " + key.substr(3) + "=" + value.substr(0, 8);
    if (other != expected.end() && other->second != value) {
      text += " " + key.substr(3) + "=" + value.substr(0, 8) + " instead of " + other->second.substr(0, 8);
    }
  }
  for (const auto& [key, value] : expected) {
    if (!found.contains(key)) text += " missing " + key.substr(3) + "=" + value.substr(0, 8);
  }
  return text;
}
void expect_same(const char* what, const Model::Contents& found, const Model::Contents& expected) {
  EXPECT_EQ(difference(found, expected), "") << what;
}

/// One life of a partition: opens it, checks it against the model, works on it, closes it.
class Life {
 public:
  Life(sim::World& world, Model& model, const LsmOptions& options, std::uint64_t seed)
      : world_(world), model_(model), options_(options), random_(seed), context_(options, 1u << 20) {}

  Task<> run(int operations, bool failures_expected) {
    failures_expected_ = failures_expected;
    KeyRuleTable rules;
    rules.set(static_cast<std::uint8_t>(kv::KeyType::value), {.merge_operator = operators_.find("append:,")});
    auto opened = co_await open_partition("/data", options_, context_, 7, rules);
    if (!opened) {
      EXPECT_TRUE(failures_expected) << opened.error().to_string();
      EXPECT_NE(opened.error().code, Errc::corrupt) << opened.error().to_string();
      ended_ = true;
      co_return;
    }
    partition_ = std::move(*opened);
    const bool known = co_await verify_all();
    trace_ += (known ? " opened with " : " unreadable, at most ") + std::to_string(model_.steps());
    operations_left_ = known ? operations : 0;
    TaskScope scope(nullptr);
    for (int worker = 0; worker < 4; ++worker) scope.spawn(work());
    co_await scope.join();
    trace_ += " worked to " + std::to_string(model_.steps()) + " kept " + std::to_string(model_.kept());
    if (partition_->stop_reason()) trace_ += " stopped by " + partition_->stop_reason()->to_string();
    const Result<> closed = co_await partition_->close();
    trace_ += closed ? " closed" : " close failed: " + closed.error().to_string();
    EXPECT_TRUE(closed || failures_expected_) << closed.error().to_string();
    if (closed && known) model_.acknowledge(model_.steps());
    partition_.reset();
    ended_ = true;
  }
  bool ended() const { return ended_; }
  const std::string& trace() const { return trace_; }

 private:
  std::uint64_t now() { return world_.environment().wall_ms(); }
  bool failed(const Error& error) {
    EXPECT_TRUE(failures_expected_) << error.to_string();
    return true;
  }
  std::string random_key() {
    const std::string user = "key" + std::to_string(random_.skewed(0, 400));
    return std::string(as_text(StoredKey(user).bytes()));
  }
  std::string random_value(std::size_t step) {
    return std::to_string(step) +
           std::string(random_.one_in(50) ? random_.below(9000) : random_.below(200), 'v');
  }

  /// Reads everything in both directions; after a crash, finds out how much of the unacknowledged survived.
  /// False where it cannot be read, so that nothing can be said about what comes next.
  Task<bool> verify_all() {
    const std::uint64_t at = now();
    Model::Contents found;
    if (!co_await scan({}, found)) co_return false;
    if (!model_.recover(found, at)) {
      ADD_FAILURE() << "kept at least " << model_.kept() << " of " << model_.steps() << ": "
                    << difference(found, model_.contents(model_.steps(), at));
    }
    const std::uint64_t later = now();
    Model::Contents backwards;
    if (co_await scan({.direction = Direction::backward}, backwards))
      expect_same("backwards", backwards, model_.contents(model_.steps(), later));
    co_return true;
  }
  Task<bool> scan(kv::ScanOptions options, Model::Contents& found) {
    const auto cursor = partition_->scan(options);
    std::string previous;
    while (true) {
      const auto more = co_await cursor->next();
      if (!more) co_return !failed(more.error());
      if (!*more) co_return true;
      const std::string key(as_text(cursor->item().key));
      if (!previous.empty()) EXPECT_EQ(options.direction == Direction::forward, previous < key);
      EXPECT_TRUE(found.emplace(key, as_text(cursor->item().value)).second);
      previous = key;
    }
  }

  Task<> work() {
    while (operations_left_ > 0 && !partition_->stop_reason()) {
      --operations_left_;
      switch (random_.below(16)) {
        case 0:
        case 1:
        case 2:
        case 3:
        case 4:
        case 5: co_await write(); break;
        case 6:
        case 7:
        case 8: co_await read(); break;
        case 9: co_await read_many(); break;
        case 10: co_await scan_range(); break;
        case 11: co_await scan_snapshot(); break;
        case 12:
        case 13: co_await increment(); break;
        case 14: co_await sleep_for(std::chrono::milliseconds(random_.below(20))); break;
        case 15: co_await rare(); break;
      }
    }
  }

  Task<> write() {
    const Durability durability = random_.one_in(4) ? Durability::none : Durability::durable;
    const std::size_t count = random_.one_in(3) ? random_.between(2, 12) : 1;
    std::vector<StoredKey> keys;
    std::vector<std::string> values;
    std::vector<kv::Write> writes;
    for (std::size_t i = 0; i < count; ++i) {
      keys.push_back(StoredKey::from_stored(as_bytes(random_key())));
      values.push_back(random_value(model_.steps() + 1));
    }
    for (std::size_t i = 0; i < count; ++i) {
      const bool expires = random_.one_in(5);
      writes.push_back({.key = &keys[i], .value = as_bytes(values[i])});
      if (expires) writes.back().expiry_ms = now() + random_.below(40);
      if (random_.one_in(4)) writes.back().kind = kv::Kind::merge;
      if (random_.one_in(4)) writes.back() = {.key = &keys[i], .value = {}, .kind = kv::Kind::erase};
    }
    const auto ticket = partition_->append(writes, durability);
    if (!ticket) {
      failed(ticket.error());
      co_return;
    }
    const std::size_t step = model_.begin();
    for (std::size_t i = 0; i < count; ++i) {
      const std::string key(as_text(keys[i].bytes()));
      switch (writes[i].kind) {
        case kv::Kind::put: model_.put(key, values[i], writes[i].expiry_ms); break;
        case kv::Kind::merge: model_.merge(key, values[i], writes[i].expiry_ms, now()); break;
        default: model_.erase(key); break;
      }
    }
    if (const Result<> written = co_await *ticket; !written) {
      failed(written.error());
    } else if (durability == Durability::durable) {
      model_.acknowledge(step);
    }
  }

  void check(const std::string& key, const Result<std::optional<kv::Value>>& result, Durability durability,
             std::size_t from, std::uint64_t began) {
    if (!result) {
      failed(result.error());
      return;
    }
    std::optional<std::string> value;
    if (*result) value = as_text((*result)->bytes);
    EXPECT_TRUE(model_.explains(key, value, from, model_.steps(), began, now()) || partition_->stop_reason())
        << key.substr(3) << " = " << value.value_or("(absent)").substr(0, 12) << " between " << from
        << " and " << model_.steps();
    if (durability == Durability::durable && value) model_.show(std::stoull(*value));
  }

  Task<> read() {
    const std::string name = random_key();
    const StoredKey key = StoredKey::from_stored(as_bytes(name));
    const Durability durability = random_.one_in(3) ? Durability::none : Durability::durable;
    const std::size_t from = model_.steps();
    const std::uint64_t began = now();
    const auto result = co_await partition_->get(key, {.durability = durability});
    check(name, result, durability, from, began);
  }

  Task<> read_many() {
    std::vector<StoredKey> keys;
    for (std::uint64_t i = random_.between(1, 20); i > 0; --i)
      keys.push_back(StoredKey::from_stored(as_bytes(random_key())));
    std::vector<kv::Read> reads(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) reads[i].key = &keys[i];
    const std::size_t from = model_.steps();
    const std::uint64_t began = now();
    co_await partition_->multi_get(reads);
    for (const kv::Read& read : reads) {
      check(std::string(as_text(read.key->bytes())), read.result, Durability::durable, from, began);
    }
  }

  Task<> scan_range() {
    std::string first = random_key(), last = random_key();
    if (last < first) std::swap(first, last);
    const std::uint64_t at = now();
    const std::size_t step = model_.steps();
    Model::Contents found;
    const bool complete =
        co_await scan({.first = as_bytes(first),
                       .last = as_bytes(last),
                       .direction = random_.one_in(2) ? Direction::forward : Direction::backward,
                       .read = {.durability = Durability::none}},
                      found);
    if (complete && !partition_->stop_reason())
      expect_same("range", found, model_.contents(step, at, first, last));
  }

  Task<> scan_snapshot() {
    const kv::Snapshot snapshot(*partition_);
    const std::uint64_t at = now();
    const std::size_t step = model_.steps();
    (void)co_await sleep_for(std::chrono::milliseconds(random_.below(30)));
    if (partition_->stop_reason()) co_return;
    const std::string name = random_key();
    const StoredKey key = StoredKey::from_stored(as_bytes(name));
    const auto single =
        co_await partition_->get(key, {.durability = Durability::none, .snapshot = &snapshot});
    if (single && !partition_->stop_reason()) {
      std::optional<std::string> value;
      if (*single) value = as_text((*single)->bytes);
      EXPECT_TRUE(model_.explains(name, value, step, step, at, at));
    }
    Model::Contents found;
    const bool complete =
        co_await scan({.direction = random_.one_in(2) ? Direction::forward : Direction::backward,
                       .read = {.durability = Durability::none, .snapshot = &snapshot}},
                      found);
    if (complete && !partition_->stop_reason()) expect_same("snapshot", found, model_.contents(step, at));
  }

  /// Appends a character to a value, or creates it: lost updates would show.
  Task<> increment() {
    const std::string name = random_key();
    const StoredKey key = StoredKey::from_stored(as_bytes(name));
    for (int attempt = 0; attempt < 100; ++attempt) {
      kv::Transaction step(*partition_);
      const auto old = co_await step.get(key);
      if (!old) {
        failed(old.error());
        co_return;
      }
      std::string value = std::to_string(model_.steps() + 1) +
                          (*old ? "+" + std::string(as_text((*old)->bytes)).substr(0, 50) : "new");
      step.put(key, as_bytes(value));
      const auto ticket = step.commit(Durability::durable);
      if (!ticket && ticket.error().code == Errc::conflict) continue;
      if (!ticket) {
        failed(ticket.error());
        co_return;
      }
      if (!partition_->stop_reason()) {
        EXPECT_EQ(*old ? std::string(as_text((*old)->bytes)) : "",
                  model_.value_at(name, model_.steps(), step.now_ms()).value_or(""));
      }
      const std::size_t number = model_.begin();
      model_.put(name, value);
      if (const Result<> written = co_await *ticket; written) {
        model_.acknowledge(number);
      } else {
        failed(written.error());
      }
      co_return;
    }
    ADD_FAILURE() << "a transaction never commits";
  }

  Task<> erase_range() {
    std::string first = random_key(), last = random_key();
    if (last < first) std::swap(first, last);
    if (random_.one_in(8)) last.clear();
    if (first == last) co_return;
    const auto ticket = partition_->erase_range(as_bytes(first), as_bytes(last));
    if (!ticket) {
      failed(ticket.error());
      co_return;
    }
    const std::size_t step = model_.begin();
    model_.erase_range(first, last);
    if (co_await *ticket) model_.acknowledge(step);
  }

  Task<> rare() {
    switch (random_.below(24)) {
      case 0: {
        const kv::Write clear{.key = nullptr, .value = {}, .kind = kv::Kind::clear};
        const auto ticket = partition_->append(clear);
        if (!ticket) {
          failed(ticket.error());
          co_return;
        }
        const std::size_t step = model_.begin();
        model_.clear();
        if (co_await *ticket) model_.acknowledge(step);
        break;
      }
      case 1:
      case 2:
      case 3:
        if (const Result<> flushed = co_await partition_->flush(); !flushed) failed(flushed.error());
        break;
      case 7:
      case 8:
      case 9: co_await erase_range(); break;
      case 4:
      case 5:
        if (const Result<> settled = co_await partition_->settle_compaction(); !settled)
          failed(settled.error());
        break;
      case 6: world_.environment().step_wall(static_cast<std::int64_t>(random_.below(200))); break;
      default: co_await write(); break;
    }
  }

  sim::World& world_;
  Model& model_;
  const LsmOptions& options_;
  Random random_;
  ShardContext context_;
  const kv::MergeOperators operators_;
  std::unique_ptr<LsmPartition> partition_;
  bool ended_ = false;
  std::string trace_;
  int operations_left_ = 0;
  bool failures_expected_ = false;
};

/// A disk, the model of what is on it, and the wall clock, across lives.
class EngineTest : public ::testing::Test {
 protected:
  static int rounds(int otherwise) {
    const char* given = std::getenv("ASHLAR_ROUNDS");
    return given != nullptr ? std::atoi(given) : otherwise;
  }

  void create(const LsmOptions& options, std::uint64_t seed) {
    disk_ = std::make_unique<sim::Disk>();
    model_ = {};
    sim::World world({.environment = {.seed = seed, .wall_ms = wall_ms_}}, *disk_);
    static const auto make = [](const LsmOptions* with) -> Task<> {
      EXPECT_TRUE(Shard::current().backend().make_directory("/data"));
      EXPECT_TRUE(co_await sync_directory("/"));
      const Result<> created = co_await create_partition("/data", *with, 7);
      EXPECT_TRUE(created) << created.error().to_string();
    };
    world.spawn(0, world.on(0, [&] { return make(&options); }));
    ASSERT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
  }

  struct Plan {
    std::uint64_t seed = 1;
    int operations = 100;
    std::uint64_t cut_at = 0;  ///< 0: never
    sim::FileVerdict::Cut cut = sim::FileVerdict::Cut::before;
    std::uint64_t kill_after = 0;  ///< operations on files; 0: never
    sim::FaultChances chances{};
  };
  /// One life; returns whether it lived to its end.
  bool live(const LsmOptions& options, const Plan& plan) {
    sim::World world({.environment = {.seed = plan.seed, .wall_ms = wall_ms_}}, *disk_);
    if (plan.cut_at != 0) world.faults().cut_at(plan.cut_at, plan.cut);
    world.faults().set_chances(plan.chances);
    const bool expect_failures = plan.cut_at != 0 || plan.kill_after != 0 || plan.chances.fail_one_in != 0;
    auto life = world.on(0, [&] { return std::make_unique<Life>(world, model_, options, plan.seed); });
    world.spawn(0, world.on(0, [&] { return life->run(plan.operations, expect_failures); }));
    if (plan.kill_after != 0) {
      const auto due = [&] {
        return world.faults().changing_operations() >= plan.kill_after || life->ended();
      };
      EXPECT_EQ(world.run_until(due), sim::World::Outcome::done) << world.report();
      world.environment().kill();
    }
    EXPECT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
    const bool survived = world.environment().powered();
    trace_ = life->trace();
    world.on(0, [&] { life.reset(); });
    wall_ms_ = world.environment().wall_ms();
    for (const auto& [label, count] : world.faults().operations()) operations_[label] += count;
    for (const auto& [label, count] : world.faults().cuts()) cuts_[label] += count;
    return survived;
  }

  std::string trace_;
  std::unique_ptr<sim::Disk> disk_;
  Model model_;
  std::uint64_t wall_ms_ = 1'700'000'000'000;
  std::map<std::string, std::uint64_t> operations_, cuts_;
};

TEST_F(EngineTest, AgreesWithAModelAcrossReopens) {
  Random random(test_seed());
  for (int round = 0; round < rounds(6); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const LsmOptions options = small_options(random);
    create(options, random.next());
    for (int life = 0; life < 4; ++life) {
      ASSERT_TRUE(live(options, {.seed = random.next(), .operations = 300}));
      ASSERT_FALSE(HasFailure());
    }
  }
}

/// Wherever power goes: what was acknowledged or shown is there, whole, and the partition opens.
TEST_F(EngineTest, KeepsWhatItAcknowledgedThroughPowerCuts) {
  Random random(test_seed());
  for (int round = 0; round < rounds(20); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const LsmOptions options = small_options(random);
    create(options, random.next());
    for (int life = 0; life < 5; ++life) {
      Plan plan{.seed = random.next(), .operations = 200};
      switch (random.below(4)) {
        case 0: plan.kill_after = random.skewed(1, 500); break;
        case 1: plan.chances = {.fail_one_in = 100, .slow_one_in = 20}; break;
        default:
          plan.cut_at = random.skewed(1, 500);
          plan.cut = random.one_in(2) ? sim::FileVerdict::Cut::before : sim::FileVerdict::Cut::after;
      }
      SCOPED_TRACE("life " + std::to_string(life) + ", cut at " + std::to_string(plan.cut_at) +
                   ", kill after " + std::to_string(plan.kill_after) +
                   (plan.chances.fail_one_in != 0 ? ", failing operations" : ""));
      const std::string before = trace_ + " |";
      live(options, plan);
      ASSERT_FALSE(HasFailure()) << before << trace_;
    }
    ASSERT_TRUE(live(options, {.seed = random.next(), .operations = 50}));
    ASSERT_FALSE(HasFailure());
  }
}

/// The same life again and again, with the power cut at its first operation on a file, at its second …
TEST_F(EngineTest, SurvivesAPowerCutAtEveryOperation) {
  Random random(test_seed());
  LsmOptions options = small_options(random);
  options.memtable_bytes = 8u << 10;
  options.level0_tables = 1;
  const std::uint64_t seed = random.next(), after = random.next();
  const std::uint64_t stride = std::getenv("ASHLAR_ROUNDS") != nullptr ? 1 : 7;
  bool survived = false;
  for (std::uint64_t at = 1 + random.below(stride); !survived; at += random.between(1, 2 * stride - 1)) {
    SCOPED_TRACE("cut at " + std::to_string(at));
    wall_ms_ = 1'700'000'000'000;
    create(options, seed);
    const auto cut = random.one_in(2) ? sim::FileVerdict::Cut::before : sim::FileVerdict::Cut::after;
    survived = live(options, {.seed = seed, .operations = 150, .cut_at = at, .cut = cut});
    ASSERT_TRUE(live(options, {.seed = after, .operations = 5}));
    ASSERT_FALSE(HasFailure());
  }
  for (const auto& [label, count] : cuts_) EXPECT_GT(count, 0u);
  EXPECT_GE(cuts_.size(), 5u);
}

}  // namespace
}  // namespace ashlar::lsm

/// Power cuts under the log and the directory store. A model holds every append and truncation in order, and
/// how far they were acknowledged; what recovery delivers must be the state after some prefix of them that is
/// not shorter.

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/blob/directory/directory_store.h"
#include "ashlar/log/log.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"
#include "tests/crash/harness.h"

namespace ashlar::crash {
namespace {

using sim::World;

constexpr std::size_t writers = 4;
constexpr std::uint64_t appends_per_writer = 30;

wal::LogOptions small_log() {
  return {.segment_bytes = 96 << 10, .buffer_bytes = 16 << 10, .memory_bytes = 1 << 20, .spares = 1};
}

std::string payload_of(std::uint64_t id) {
  Random random(id);
  std::string text(random.one_in(8) ? random.below(30'000) : random.below(400), '\0');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}

/// What the log was asked to hold, over all lives of the machine.
class Model {
 public:
  struct Step {
    bool truncation;
    std::uint64_t index;  // of the record; or the first that is void
    std::uint64_t id;     // of the payload
  };

  std::uint64_t new_id() { return ++last_id_; }
  std::uint64_t append(std::uint64_t index, std::uint64_t id) {
    steps_.push_back({false, index, id});
    return steps_.size();
  }
  std::uint64_t truncate(std::uint64_t index) {
    steps_.push_back({true, index, 0});
    return steps_.size();
  }
  /// The first `count` steps of this life are durable.
  void acknowledge(std::uint64_t count) { acknowledged_ = std::max(acknowledged_, count); }

  std::uint64_t first_needed() const { return first_; }
  void release_below(std::uint64_t index) { released_ = std::max(released_, index); }

  /// `found`: the payloads' ids from `first` on. Takes it over as the state at the start of the next life.
  testing::AssertionResult adopt(std::uint64_t first, const std::vector<std::uint64_t>& found) {
    std::vector<std::uint64_t> state = base_;
    bool matches = acknowledged_ == 0 && same(state, first, found);
    for (std::size_t i = 0; i < steps_.size() && !matches; ++i) {
      state.resize(steps_[i].index - first_);
      if (!steps_[i].truncation) state.push_back(steps_[i].id);
      matches = i + 1 >= acknowledged_ && same(state, first, found);
    }
    if (!matches) {
      return testing::AssertionFailure()
             << "recovered " << found.size() << " records from " << first << "; had " << base_.size()
             << " from " << first_ << ", then " << steps_.size() << " steps of which " << acknowledged_
             << " were acknowledged";
    }
    first_ = first;
    base_ = found;
    steps_.clear();
    acknowledged_ = 0;
    return testing::AssertionSuccess();
  }
  std::uint64_t released() const { return std::max(released_, first_); }

 private:
  bool same(const std::vector<std::uint64_t>& state, std::uint64_t first,
            const std::vector<std::uint64_t>& found) const {
    const std::size_t skip = first - first_;
    return state.size() == skip + found.size() &&
           std::equal(found.begin(), found.end(), state.begin() + static_cast<std::ptrdiff_t>(skip));
  }

  std::uint64_t last_id_ = 0;
  std::uint64_t first_ = 1;     // index of base_[0]
  std::uint64_t released_ = 1;  // what the owner no longer needs
  std::vector<std::uint64_t> base_;
  std::vector<Step> steps_;
  std::uint64_t acknowledged_ = 0;
};

/// One life: open, check what is there, write, close. Power may go at any point.
class Life final : public wal::LogOwner {
 public:
  Life(Model& model, std::uint64_t seed) : model_(model), random_(seed) {}

  Task<> run() {
    ended_ = co_await live();
    done_ = true;
  }

  bool done() const { return done_; }
  const Result<>& ended() const { return ended_; }
  const testing::AssertionResult& verdict() const { return verdict_; }

 private:
  Result<> on_record(const wal::Record& record) override {
    if (record.header.type == wal::RecordType::truncate_suffix) {
      found_.resize(std::max(record.index, first_) - first_);
      return {};
    }
    const std::uint64_t id = record.header.sequence;
    if (record.index != first_ + found_.size()) {
      verdict_ = testing::AssertionFailure()
                 << "record " << record.index << " follows " << found_.size() << " records from " << first_;
    } else if (as_text(record.payload) != payload_of(id)) {
      verdict_ = testing::AssertionFailure()
                 << "record " << record.index << " has not the payload that was appended";
    }
    found_.push_back(id);
    return {};
  }

  void on_durable(const wal::Progress& progress) noexcept override {
    while (!in_order_.empty() && in_order_.front().first <= progress.position) {
      model_.acknowledge(in_order_.front().second);
      in_order_.pop_front();
    }
  }
  void on_stopped(const Error&) noexcept override { stopped_ = true; }

  Task<Result<>> live() {
    if (auto made = Shard::current().backend().make_directory("/data");
        !made && made.error().code != Errc::exists) {
      co_return made;
    }
    CO_TRY(co_await sync_directory("/"));
    auto store = CO_TRY(co_await blob::open_directory("/data", {.reserve_bytes = 16 << 10}));
    const auto used = co_await use(*store);
    const auto closed = co_await store->close();
    if (!used) co_return used;
    co_return closed;
  }

  Task<Result<>> use(blob::Store& store) {
    first_ = model_.released();
    auto log = CO_TRY(co_await wal::Log::open(store, 0, small_log(), first_, *this));
    if (verdict_) verdict_ = model_.adopt(first_, found_);
    {
      wal::Log::Hold hold(*log, first_);
      TaskScope scope;
      for (std::size_t i = 0; i < writers; ++i) scope.spawn(write(*log, hold));
      co_await scope.join();
    }
    co_return co_await log->close();
  }

  Task<> write(wal::Log& log, wal::Log::Hold& hold) {
    for (std::uint64_t i = 0; i < appends_per_writer && !stopped_ && verdict_; ++i) {
      const std::uint64_t id = model_.new_id();
      const std::string payload = payload_of(id);
      const std::uint64_t next = log.next_index();
      const bool truncate = random_.one_in(20) && next > hold.index() + 2;
      const std::uint64_t from = truncate ? random_.between(hold.index() + 1, next - 1) : 0;
      const auto position =
          truncate ? log.truncate_suffix(from)
                   : log.append({.type = wal::RecordType::write, .sequence = id}, as_bytes(payload));
      if (!position) co_return;
      const std::uint64_t step = truncate ? model_.truncate(from) : model_.append(position->index, id);
      in_order_.emplace_back(*position, step);
      if (!random_.one_in(4)) {
        if (!co_await log.durable(*position)) co_return;
        model_.acknowledge(step);
        if (!truncate && random_.one_in(6) && position->index < log.next_index() &&
            position->index > hold.index()) {
          // Only what is durable, and cannot be truncated any more, is released.
          hold.advance(position->index);
          model_.release_below(position->index);
        }
      }
      if (random_.one_in(8) && !co_await sleep_for(std::chrono::microseconds(random_.below(400)))) co_return;
    }
  }

  Model& model_;
  Random random_;
  std::uint64_t first_ = 1;
  std::vector<std::uint64_t> found_;
  std::deque<std::pair<wal::LogPosition, std::uint64_t>> in_order_;
  bool stopped_ = false;
  bool done_ = false;
  Result<> ended_;
  testing::AssertionResult verdict_ = testing::AssertionSuccess();
};

/// Runs one life to its end; false where something was wrong.
bool live(sim::Disk& disk, Model& model, std::uint64_t seed, const Fate& fate, Coverage& coverage) {
  World world({.shards = 1, .environment = {.seed = seed}}, disk);
  apply(fate, world.faults());
  Life life(model, seed);
  world.spawn(0, life.run());
  const auto outcome = world.run_until([&] { return life.done(); });
  const bool faults = !world.environment().powered() || fate.chances.fail_one_in != 0;
  EXPECT_EQ(outcome, World::Outcome::done) << world.report();
  EXPECT_TRUE(life.verdict());
  EXPECT_TRUE(life.ended() || faults) << life.ended().error().to_string();
  EXPECT_TRUE(life.ended() || life.ended().error().code != Errc::corrupt) << life.ended().error().to_string();
  if (outcome != World::Outcome::done) std::abort();  // its tasks cannot be ended
  EXPECT_EQ(world.run_to_end(), World::Outcome::done) << world.report();
  coverage.add(world.faults());
  return !testing::Test::HasFailure();
}

// One machine after another; each lives many times on its disk.
TEST(LogCrash, WhatWasAcknowledgedIsThereAndNothingElse) {
  Random random(base_seed());
  Coverage coverage;
  for (Budget budget(100, 8); budget.more();) {
    sim::Disk disk;
    Model model;
    for (int i = 0; i < 10; ++i) {
      const std::uint64_t seed = random.next();
      Fate fate = draw_fate(random, 60);
      if (i == 9) fate = {};  // and at last in order
      SCOPED_TRACE("machine " + std::to_string(budget.lives()) + ", life " + std::to_string(i) + ", seed " +
                   std::to_string(seed) + ", " + describe(fate));
      if (!live(disk, model, seed, fate, coverage)) return;
    }
  }
  std::printf("%s", coverage.table().c_str());
}

// Each operation in turn of a machine's second life, after a first that ended somehow; and then the rare ones
// by name.
TEST(LogCrash, EveryOperationIsCut) {
  Random random(base_seed());
  Coverage coverage;
  const auto cut_second_life = [&](const Fate& fate) {
    sim::Disk disk;
    Model model;
    const std::uint64_t seed = random.next();
    const Fate first = draw_fate(random, 40);
    SCOPED_TRACE("seed " + std::to_string(seed) + ", " + describe(first) + ", then " + describe(fate));
    live(disk, model, seed, first, coverage);
    const std::uint64_t crashes = disk.crashes();
    live(disk, model, seed + 1, fate, coverage);
    const bool cut = disk.crashes() != crashes;
    live(disk, model, seed + 2, {}, coverage);
    return cut;
  };
  for (const auto when : {sim::FileVerdict::Cut::before, sim::FileVerdict::Cut::after}) {
    std::uint64_t uncut = 0;  // lives in a row that had no such operation
    for (std::uint64_t cut = 1; uncut < 20 && !HasFailure(); ++cut) {
      uncut = cut_second_life({.cut_at = cut, .when = when}) ? 0 : uncut + 1;
    }
    for (int attempt = 0; attempt < 100 && !HasFailure(); ++attempt) {
      for (const std::string& label : coverage.never_cut())
        cut_second_life({.cut_at = 1, .cut_label = label, .when = when});
    }
  }
  EXPECT_EQ(coverage.never_cut(), std::vector<std::string>{}) << coverage.table();
}

}  // namespace
}  // namespace ashlar::crash

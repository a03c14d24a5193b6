// Random work on a log, with power cuts, kills and failing operations, against a model. After each: every
// acknowledged operation is there, what is there are the first operations in their order, and the log goes
// on.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/log/test_log.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::wal {
namespace {

using testing::Machine;
using testing::TestLog;

/// What a log was told, and how much of it was acknowledged.
class Model {
 public:
  void append(std::string payload, LogPosition at) { push({false, std::move(payload), at}); }
  void truncate(LogPosition at) { push({true, {}, at}); }
  void acknowledge(LogPosition at) { acknowledged_ = std::max(acknowledged_, at.group); }
  /// Records below are not needed; what the owner would have made durable before it says so.
  void release(std::uint64_t index) { needed_ = std::max(needed_, index); }

  std::uint64_t needed() const noexcept { return needed_; }
  /// Records below this index are acknowledged, and would be after a crash.
  std::uint64_t stable_end() const {
    std::uint64_t end = base_end();
    for (const Operation& operation : operations_) {
      if (operation.truncates) end = std::min(end, operation.at.index);
      if (!operation.truncates && operation.at.group <= acknowledged_) end = operation.at.index + 1;
    }
    return end;
  }

  /// `found`, records from needed() on, is what some first operations make, all acknowledged ones among them.
  /// It is what there is from now on.
  ::testing::AssertionResult adopt(std::vector<std::string> found) {
    std::vector<std::string> state = base_;
    std::size_t done = 0;
    while (done < operations_.size() && operations_[done].at.group <= acknowledged_)
      apply(state, operations_[done++]);
    bool matches = from_needed(state) == found;
    while (!matches && done < operations_.size()) {
      apply(state, operations_[done++]);
      matches = from_needed(state) == found;
    }
    if (!matches) {
      return ::testing::AssertionFailure()
             << found.size() << " records from " << needed_ << " are no prefix of " << operations_.size()
             << " operations on " << base_.size() << " records from " << first_;
    }
    base_ = std::move(found);
    first_ = needed_;
    operations_.clear();
    acknowledged_ = 0;
    return ::testing::AssertionSuccess();
  }

 private:
  struct Operation {
    bool truncates;
    std::string payload;
    LogPosition at;
  };
  void push(Operation operation) { operations_.push_back(std::move(operation)); }
  void apply(std::vector<std::string>& state, const Operation& operation) const {
    state.resize(operation.at.index - first_);
    if (!operation.truncates) state.push_back(operation.payload);
  }
  std::vector<std::string> from_needed(const std::vector<std::string>& state) const {
    const std::uint64_t skip = std::min<std::uint64_t>(needed_ - first_, state.size());
    return {state.begin() + static_cast<std::ptrdiff_t>(skip), state.end()};
  }
  std::uint64_t base_end() const noexcept { return first_ + base_.size(); }

  std::vector<std::string> base_;  // records from first_ on
  std::uint64_t first_ = 1, needed_ = 1;
  std::vector<Operation> operations_;
  std::uint64_t acknowledged_ = 0;
};

struct Work {
  Model& model;
  Random random;
  bool truncates = false;
};

Task<> wait_for(Log* log, Model* model, LogPosition at) {
  if (co_await log->durable(at)) model->acknowledge(at);
}

Task<Result<>> work_on(TestLog& test, Work& work, std::size_t steps) {
  TaskScope waiters;
  auto hold = std::make_unique<Log::Hold>(*test.log, work.model.needed());
  Result<> result;
  for (std::size_t step = 0; step < steps && result; ++step) {
    if (work.truncates && work.random.one_in(40)) {
      const std::uint64_t index = work.random.between(work.model.needed(), test->next_index());
      const auto at = test->truncate_suffix(index);
      if (at) work.model.truncate(*at);
    } else {
      std::string payload = std::to_string(work.random.next());
      payload.resize(work.random.skewed(0, work.random.one_in(50) ? 100'000 : 3000), 'x');
      const auto at = test->append({.sequence = step + 1}, as_bytes(payload));
      if (at) {
        work.model.append(payload, *at);
        if (work.random.one_in(3)) waiters.spawn(wait_for(test.log.get(), &work.model, *at));
      } else if (at.error().code != Errc::no_space) {
        result = std::unexpected(at.error());
      }
    }
    if (work.random.one_in(4)) co_await wait_for(test.log.get(), &work.model, test->last());
    if (work.random.one_in(30)) (void)co_await sleep_for(std::chrono::milliseconds(work.random.below(200)));
    if (work.random.one_in(20)) {
      const std::uint64_t end = work.model.stable_end();
      if (end > work.model.needed()) {
        work.model.release(work.random.between(work.model.needed(), end));
        hold->advance(work.model.needed());
      }
    }
  }
  co_await waiters.join();
  hold.reset();
  co_return result;
}

Task<Result<>> boot(Work& work, std::size_t steps) {
  TestLog test;
  LogOptions options = testing::small;
  options.segment_bytes = 256u << 10;
  options.spares = 0;
  options.spare_period = {};
  CO_TRY(co_await test.open("/log", options, work.model.needed()));
  std::vector<std::string> found;
  const std::uint64_t first = work.model.needed();
  for (const auto& record : test.recorder.records) {
    if (record.index < first || record.index - first > found.size()) {
      ADD_FAILURE() << "records are missing before " << record.index << ", of type "
                    << int(record.header.type) << ", first is " << first << ", found " << found.size();
      break;
    }
    found.resize(record.index - first);
    if (record.header.type != RecordType::truncate_suffix) found.push_back(record.payload);
  }
  EXPECT_TRUE(work.model.adopt(std::move(found)));
  const Result<> worked = co_await work_on(test, work, steps);
  if (co_await test->durable(test->last())) work.model.acknowledge(test->last());
  const Result<> closed = co_await test.close();
  CO_TRY(worked);
  co_return closed;
}

std::uint64_t test_seed() {
  const char* given = std::getenv("ASHLAR_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::printf("ASHLAR_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

struct Coverage {
  std::map<std::string, std::uint64_t> cuts;
  std::uint64_t power_cuts = 0;
};

void run_boots(std::uint64_t seed, bool truncates, bool faults, Coverage& coverage) {
  Random random(seed);
  Machine machine(random.next());
  Model model;
  for (int boot_number = 0; boot_number < 6; ++boot_number) {
    Work work{model, random.fork(), truncates};
    const std::size_t steps = random.skewed(1, 1500);
    const std::uint64_t cut = random.skewed(1, 600);
    const auto when = random.one_in(2) ? sim::FileVerdict::Cut::before : sim::FileVerdict::Cut::after;
    const bool last = boot_number == 5;
    const Result<> result = machine.run([&] { return boot(work, last ? 0 : steps); },
                                        [&](sim::World& world) {
                                          if (last) return;
                                          world.faults().cut_at(cut, when);
                                          if (faults && random.one_in(2))
                                            world.faults().set_chances({.fail_one_in = 400});
                                        });
    coverage.power_cuts += machine.powered ? 0 : 1;
    if (last) ASSERT_TRUE(result) << result.error().to_string();
    if (!result && machine.powered && !faults) FAIL() << result.error().to_string();
    if (!result) ASSERT_NE(result.error().code, Errc::corrupt) << result.error().to_string();
    if (::testing::Test::HasFailure()) return;
  }
  for (const auto& [label, count] : machine.cuts) coverage.cuts[label] += count;
}

TEST(LogCrash, WhatWasAcknowledgedIsThere) {
  constexpr std::uint64_t seeds = 300;
  const std::uint64_t first = test_seed();
  Coverage coverage;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE("ASHLAR_SEED=" + std::to_string(seed));
    run_boots(seed, seed % 3 != 0, seed % 3 == 1, coverage);
    if (HasFailure()) return;
  }
  EXPECT_GT(coverage.power_cuts, 2 * seeds);
  for (const char* label : {"create 0.#.log", "allocate 0.#.log", "write 0.#.log", "sync 0.#.log",
                            "durable write 0.#.log", "sync directory log", "unlink 0.#.log"}) {
    EXPECT_TRUE(coverage.cuts.contains(label))
        << label << " among " << ::testing::PrintToString(coverage.cuts);
  }
}

}  // namespace
}  // namespace ashlar::wal

/// Every operation on the files of a checkpoint, a backup or what is restored is the last before the power
/// goes, and fails: what was there stays, and what is made is whole, or not there and can be made again.

#include <optional>
#include <set>

#include "ashlar/kv/lsm/copies_testing.h"

namespace ashlar::lsm {
namespace {

using namespace testing;
using Cut = sim::FileVerdict::Cut;

Task<Result<>> check_point(LsmStore& store, std::string path) {
  const auto copy = home_at(std::move(path));
  CO_TRY(co_await write_checkpoint(store, *copy));
  co_return Result<>{};
}
Task<Result<>> add_to(BackupRepository& repository, LsmStore& store) {
  CO_TRY(co_await repository.add(store));
  co_return Result<>{};
}
Task<Result<>> back_up(LsmStore& store) {
  return with_repository("/backup", [&store](BackupRepository& to) { return add_to(to, store); });
}
Task<Result<>> restore_newest(BackupRepository& repository, std::string path) {
  if (repository.generations().empty()) co_return fail(Errc::not_found, "generation");
  const auto home = home_at(std::move(path));
  co_return co_await repository.restore(repository.generations().back().number, *home, copies_options());
}
Task<Result<>> prune_to_one(BackupRepository& repository) {
  CO_TRY(co_await repository.prune(1));
  co_return Result<>{};
}

/// Labels of operations to which it was done.
struct Done {
  std::set<std::string> cut, failed;
  std::uint64_t operations = 0;
};

class CopiesFaults : public ::testing::Test {
 protected:
  void make() {
    disk_ = sim::Disk();
    ASSERT_TRUE(run([&] {
      return with_store_at("/data", [&](LsmStore& store) { return write_parts(store, &tables_, &log_); });
    }));
  }
  Result<> run(const Step& step) { return live(disk_, step).result; }
  Result<> checkpoint(const std::string& path) {
    return run(
        [&] { return with_store_at("/data", [&](LsmStore& store) { return check_point(store, path); }); });
  }
  Result<> add_backup() {
    return run([&] { return with_store_at("/data", back_up); });
  }
  Result<> restore(const std::string& path) {
    return run([&] {
      return with_repository("/backup", [&](BackupRepository& from) { return restore_newest(from, path); });
    });
  }

  /// A life in which the n-th operation on a path with `part` in it has this fate. False where there are not
  /// so many.
  bool live_with(const Step& step, const std::string& part, std::uint64_t nth,
                 const sim::FileVerdict& verdict, Result<>& result, Done& done) {
    sim::World world({.environment = {.seed = ++seed_}}, disk_);
    world.faults().add({.code = std::nullopt, .path_part = part, .nth = nth, .verdict = verdict});
    if (apart_)  // on another file system, where tables cannot be shared
      world.faults().add({.code = OpCode::link, .path_part = part, .nth = 0, .verdict = {.error = EXDEV}});
    result = fail(Errc::cancelled, "not run");
    world.spawn(0, world.on(0, [&] { return run_step(&step, &result); }));
    EXPECT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
    for (const auto& [label, count] : world.faults().cuts()) done.cut.insert(label);
    for (const auto& [label, count] : world.faults().failures()) done.failed.insert(label);
    return world.faults().rules().front().matches >= nth;
  }

  /// Does it to each operation in turn. `prepare` makes what there is before, `check` looks at what is left
  /// and says what the step has said.
  Done do_to_each(const std::function<void()>& prepare, const Step& step, const std::string& part,
                  const std::function<void(const Result<>&)>& check) {
    const sim::FileVerdict fates[] = {
        {.error = EIO, .drop_unsynced = true}, {.cut = Cut::before}, {.error = ENOSPC}, {.cut = Cut::after}};
    Done done;
    for (std::size_t first = 0; first < 2; ++first) {
      bool more = true;
      for (std::uint64_t nth = 1; more && !HasFailure(); ++nth) {
        SCOPED_TRACE("operation " + std::to_string(nth) + " on " + part + ", fate " + std::to_string(first));
        prepare();
        Result<> result;
        // Each is cut and fails, each once before it or with this error, in turn.
        more = live_with(step, part, nth, fates[first * 2 + (nth + first) % 2], result, done);
        check(result);
        done.operations = std::max(done.operations, nth - 1);
      }
    }
    return done;
  }

  static void expect_all(const Done& done, std::initializer_list<const char*> labels) {
    for (const char* label : labels) {
      EXPECT_TRUE(done.cut.contains(label)) << label << " among " << ::testing::PrintToString(done.cut);
      EXPECT_TRUE(done.failed.contains(label)) << label << " among " << ::testing::PrintToString(done.failed);
    }
  }
  /// What is in tables and in the log.
  Contents all() const {
    Contents both = tables_;
    for (const auto& [key, value] : log_) both[key] = value;
    return both;
  }

  sim::Disk disk_;
  std::uint64_t seed_ = 0;
  bool apart_ = false;
  const Contents tables_ = contents_of(0, 30, 'a'), log_ = contents_of(26, 34, 'b');
};

TEST_F(CopiesFaults, OfACheckpoint) {
  const Step step = [] {
    return with_store_at("/data", [](LsmStore& store) { return check_point(store, "/copy"); });
  };
  const auto check = [&](const Result<>& result) {
    EXPECT_EQ(read(disk_, "/data"), all());
    if (result || disk_.contents("/copy/0.root")) EXPECT_EQ(read(disk_, "/copy"), all());
  };
  for (const bool apart : {false, true}) {
    apart_ = apart;
    const Done done = do_to_each([&] { make(); }, step, "/copy", check);
    expect_all(done, {"make directory copy", "make directory partition-#", "sync directory copy",
                      "sync directory partition-#", "create 0.#.log", "write 0.#.log", "sync 0.#.log",
                      "durable write 0.#.log", "create 1.#.log", "write 1.#.log", "sync 1.#.log",
                      "durable write 1.#.log", "create 0.root.new", "write 0.root.new", "sync 0.root.new",
                      "rename 0.root"});
    if (apart)
      expect_all(done, {"create #.table", "write #.table", "sync #.table"});
    else
      expect_all(done, {"link #.table"});
    std::printf("%llu operations\n", static_cast<unsigned long long>(done.operations));
    if (HasFailure()) return;
  }
}

TEST_F(CopiesFaults, OfABackupAndWhatIsPruned) {
  const Contents more = contents_of(40, 44, 'c');
  Contents now = all();
  for (const auto& [key, value] : more) now[key] = value;
  const Step add = [] { return with_store_at("/data", back_up); };
  const auto prepare = [&] {
    make();
    ASSERT_TRUE(add_backup());
    ASSERT_TRUE(run([&] {
      return with_store_at("/data", [&](LsmStore& store) { return write_parts(store, &more, &log_); });
    }));
  };
  const auto check = [&](const Result<>& result) {
    // The newest there is: the first, or the one that was being made.
    ASSERT_TRUE(restore("/one"));
    const Contents found = read(disk_, "/one");
    EXPECT_TRUE(found == now || (!result && found == all()));
    ASSERT_TRUE(add_backup());
    ASSERT_TRUE(restore("/again"));
    EXPECT_EQ(read(disk_, "/again"), now);
  };
  const Done added = do_to_each(prepare, add, "/backup", check);
  expect_all(added, {"create #.table", "write #.table", "sync #.table", "sync directory backup",
                     "create 0.root.new", "write 0.root.new", "sync 0.root.new", "rename 0.root"});

  const Step prune = [] { return with_repository("/backup", prune_to_one); };
  const auto prepare_two = [&] {
    prepare();
    ASSERT_TRUE(add_backup());
  };
  const Done pruned = do_to_each(prepare_two, prune, "/backup", [&](const Result<>&) {
    ASSERT_TRUE(restore("/one"));
    EXPECT_EQ(read(disk_, "/one"), now);
    EXPECT_TRUE(run(prune));
  });
  expect_all(pruned, {"unlink #.table", "create 0.root.new", "rename 0.root"});
  std::printf("%llu and %llu operations\n", static_cast<unsigned long long>(added.operations),
              static_cast<unsigned long long>(pruned.operations));
}

TEST_F(CopiesFaults, OfARestore) {
  const Step step = [] {
    return with_repository("/backup",
                           [](BackupRepository& from) { return restore_newest(from, "/restored"); });
  };
  const auto prepare = [&] {
    make();
    ASSERT_TRUE(add_backup());
  };
  const auto check = [&](const Result<>&) {
    const Result<> again = restore("/restored");
    EXPECT_TRUE(again || again.error().code == Errc::exists) << again.error().to_string();
    EXPECT_EQ(read(disk_, "/restored"), all());
    EXPECT_EQ(read(disk_, "/data"), all());
  };
  const Done done = do_to_each(prepare, step, "/restored", check);
  expect_all(done,
             {"make directory restored", "make directory partition-#", "create 0.#.log",
              "durable write 0.#.log", "create 1.#.log", "durable write 1.#.log", "create #.table",
              "write #.table", "sync #.table", "create 0.root.new", "write 0.root.new", "sync 0.root.new",
              "rename 0.root", "sync directory restored", "sync directory partition-#"});
  std::printf("%llu operations\n", static_cast<unsigned long long>(done.operations));
}

}  // namespace
}  // namespace ashlar::lsm

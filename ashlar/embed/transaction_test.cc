/// Transactions, snapshots and batches over several partitions, by plain threads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "ashlar/embed/test_db.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

/// Four partitions on two shards: keys of "a", "g", "m" and "t" are in one each.
class TransactionTest : public DbTest {
 protected:
  Db open_spread() const {
    DbOptions options = small_options();
    options.shards = 2;
    options.boundaries = {"g", "m", "t"};
    return open(options);
  }
  static Deadline soon() { return Deadline::clock::now() + 30ms; }
};

TEST_F(TransactionTest, SeesItsOwnWritesAndOthersOnlyOnceItIsCommitted) {
  Db db = open_spread();
  EXPECT_TRUE(db.put("a", "1"));
  EXPECT_TRUE(db.put("t", "1"));
  Transaction step = db.begin().value();
  EXPECT_EQ(step.get("a").value(), "1");
  EXPECT_TRUE(step.put("a", "2"));
  EXPECT_TRUE(step.erase("t"));
  EXPECT_TRUE(step.put("m", "new"));
  EXPECT_EQ(step.get("a").value(), "2");
  EXPECT_EQ(step.get("t").value(), std::nullopt);
  const std::vector<std::string_view> keys{"m", "t", "a", "none"};
  EXPECT_THAT(step.multi_get(keys).value(), ElementsAre("new", std::nullopt, "2", std::nullopt));
  EXPECT_EQ(db.get("a").value(), "1");
  EXPECT_EQ(db.get("m").value(), std::nullopt);

  EXPECT_TRUE(step.commit());
  EXPECT_EQ(db.get("a").value(), "2");
  EXPECT_EQ(db.get("t").value(), std::nullopt);
  EXPECT_EQ(db.get("m").value(), "new");
  EXPECT_EQ(step.put("a", "3").error().code, Errc::invalid);
  EXPECT_EQ(step.get("a").error().code, Errc::invalid);
  EXPECT_EQ(step.commit().error().code, Errc::invalid);
}

TEST_F(TransactionTest, OfTwoThatWriteOneKeyTheFirstToCommitWins) {
  Db db = open_spread();
  Transaction first = db.begin().value(), second = db.begin().value();
  EXPECT_TRUE(first.put("k", "first"));
  EXPECT_TRUE(second.put("k", "second"));
  EXPECT_TRUE(second.put("other", "second"));
  EXPECT_TRUE(first.commit());
  EXPECT_EQ(second.commit().error().code, Errc::conflict);
  EXPECT_EQ(db.get("k").value(), "first");
  EXPECT_EQ(db.get("other").value(), std::nullopt);
}

TEST_F(TransactionTest, WhatASerializableOneReadMustBeUnchanged) {
  Db db = open_spread();
  EXPECT_TRUE(db.put("limit", "10"));
  Transaction step = db.begin({.isolation = Isolation::serializable}).value();
  EXPECT_EQ(step.get("limit").value(), "10");
  EXPECT_TRUE(db.put("limit", "5"));
  EXPECT_TRUE(step.put("a", "9"));
  EXPECT_EQ(step.commit().error().code, Errc::conflict);
  EXPECT_EQ(db.begin({.isolation = Isolation::serializable}).value().iterate().error().code,
            Errc::unsupported);
}

TEST_F(TransactionTest, OthersWaitForARowLockUntilTheirDeadline) {
  Db db = open_spread();
  EXPECT_TRUE(db.put("k", "before"));
  Transaction holder = db.begin({.locking = Locking::row_locks}).value();
  EXPECT_TRUE(holder.lock("k"));

  EXPECT_EQ(db.put("k", "x", {.deadline = soon()}).error().code, Errc::timed_out);
  EXPECT_EQ(db.merge("k", "x", {.deadline = soon()}).error().code, Errc::unsupported);
  EXPECT_EQ(db.erase_range("j", "l", {.deadline = soon()}).error().code, Errc::timed_out);
  EXPECT_EQ(db.compare_and_swap("k", "before", "x", {.deadline = soon()}).error().code, Errc::timed_out);
  WriteBatch batch;
  batch.put("k", "x");
  batch.put("z", "x");
  EXPECT_EQ(db.write(batch, {.deadline = soon()}).error().code, Errc::timed_out);
  Transaction other = db.begin({.locking = Locking::row_locks, .lock_wait = 10ms}).value();
  EXPECT_EQ(other.put("k", "x").error().code, Errc::timed_out);
  other.rollback();
  EXPECT_EQ(db.get("k").value(), "before");
  EXPECT_EQ(db.get("z").value(), std::nullopt);
  EXPECT_TRUE(db.put("unlocked", "x", {.deadline = Deadline::clock::now() + 60s}));

  std::atomic<bool> waits{false};
  std::thread waiter([&] {
    waits.store(true);
    EXPECT_TRUE(db.put("k", "after"));  // until the lock is let go
  });
  while (!waits.load()) std::this_thread::yield();
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(db.get("k").value(), "before");
  EXPECT_TRUE(holder.put("k", "locked"));
  EXPECT_TRUE(holder.commit());
  waiter.join();
  EXPECT_EQ(db.get("k").value(), "after");
}

// The commit has its keys in one partition and waits in another: neither its own checks nor readers may wait
// for what it has not begun to decide.
TEST_F(TransactionTest, ACommitThatWaitsForALockKeepsNoReaderWaiting) {
  Db db = open_spread();
  for (const char* key : {"a", "t", "u"}) EXPECT_TRUE(db.put(key, "before"));
  Transaction holder = db.begin({.locking = Locking::row_locks}).value();
  EXPECT_TRUE(holder.lock("t"));
  Transaction step =
      db.begin({.isolation = Isolation::serializable, .locking = Locking::row_locks, .lock_wait = 60s})
          .value();
  EXPECT_EQ(step.get("a").value(), "before");
  EXPECT_EQ(step.get("t").value(), "before");
  EXPECT_TRUE(step.put("a", "after"));
  EXPECT_TRUE(step.put("u", "after"));
  std::thread committing([&] { EXPECT_TRUE(step.commit()); });
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(db.reader({.deadline = Deadline::clock::now() + 60s}).get("a").value(), "before");
    std::this_thread::sleep_for(1ms);
  }
  holder.rollback();
  committing.join();
  EXPECT_EQ(db.get("a").value(), "after");
  EXPECT_EQ(db.get("u").value(), "after");
}

TEST_F(TransactionTest, CloseEndsWhoWaitsForTheLockOfAnOpenOne) {
  Db db = open_spread();
  Transaction holder = db.begin({.locking = Locking::row_locks}).value();
  EXPECT_TRUE(holder.put("a", "locked"));
  std::atomic<int> ended{0};
  const auto closed = [&](const Result<>& result) {
    EXPECT_EQ(result.error().code, Errc::closed);
    ++ended;
  };
  std::thread across([&] {
    WriteBatch batch;
    batch.put("a", "x");
    batch.put("z", "x");
    closed(db.write(batch));
  });
  std::thread one([&] { closed(db.put("a", "x")); });
  std::thread other([&] {
    Transaction step = db.begin({.locking = Locking::row_locks, .lock_wait = 24h}).value();
    closed(step.put("a", "x"));
  });
  std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(db.close());
  for (std::thread* each : {&across, &one, &other}) each->join();
  EXPECT_EQ(ended.load(), 3);
  EXPECT_EQ(holder.commit().error().code, Errc::closed);
}

TEST_F(TransactionTest, WhatEndsWithoutCommitWroteNothingAndHoldsNothing) {
  Db db = open_spread();
  {
    Transaction dropped = db.begin({.locking = Locking::row_locks}).value();
    EXPECT_TRUE(dropped.put("a", "x"));
    EXPECT_TRUE(dropped.put("z", "x"));
  }
  EXPECT_TRUE(db.put("z", "free", {.deadline = Deadline::clock::now() + 60s}));
  Transaction rolled_back = db.begin({.locking = Locking::row_locks}).value();
  EXPECT_TRUE(rolled_back.put("z", "x"));
  rolled_back.rollback();
  EXPECT_EQ(rolled_back.get("z").error().code, Errc::invalid);
  EXPECT_TRUE(db.put("z", "freed", {.deadline = Deadline::clock::now() + 60s}));
  EXPECT_EQ(db.get("a").value(), std::nullopt);
  EXPECT_EQ(db.get("z").value(), "freed");
}

TEST_F(TransactionTest, SavepointsTakeBackWhatCameAfter) {
  DbOptions options = small_options();
  options.merge_operator = "append";
  Db db = open(options);
  Transaction step = db.begin().value();
  EXPECT_TRUE(step.put("a", "1"));
  EXPECT_TRUE(step.merge("a", "+"));
  const Transaction::Savepoint here = step.savepoint().value();
  EXPECT_TRUE(step.merge("a", "-"));
  EXPECT_TRUE(step.put("b", "2"));
  EXPECT_EQ(step.get("a").value(), "1+-");
  EXPECT_TRUE(step.roll_back_to(here));
  EXPECT_EQ(step.get("a").value(), "1+");
  EXPECT_EQ(step.get("b").value(), std::nullopt);
  EXPECT_EQ(step.roll_back_to(here + 5).error().code, Errc::invalid);
  EXPECT_TRUE(step.commit());
  EXPECT_EQ(db.get("a").value(), "1+");
}

TEST_F(TransactionTest, AnIteratorWalksWhatTheTransactionSees) {
  Db db = open_spread();
  for (const char* key : {"a", "b", "h", "n", "u"}) EXPECT_TRUE(db.put(key, "stored"));
  Transaction step = db.begin().value();
  EXPECT_TRUE(db.put("c", "later"));
  EXPECT_TRUE(step.put("i", "own"));
  EXPECT_TRUE(step.erase("n"));
  EXPECT_TRUE(step.put("h", "over"));
  Iterator all = step.iterate().value();
  EXPECT_THAT(keys_of(all), ElementsAre("a", "b", "h", "i", "u"));
  EXPECT_THAT(keys_of(all, true), ElementsAre("u", "i", "h", "b", "a"));
  EXPECT_TRUE(all.seek("h"));
  EXPECT_EQ(all.value(), "over");
  EXPECT_TRUE(all.previous());
  EXPECT_EQ(all.key(), "b");
  Iterator some = step.iterate({.lower = "b", .upper = "i"}).value();
  EXPECT_THAT(keys_of(some), ElementsAre("b", "h"));
  EXPECT_TRUE(step.commit());
  EXPECT_FALSE(all.seek_first());
  EXPECT_EQ(all.status().error().code, Errc::invalid);
}

TEST_F(TransactionTest, AnIteratorSeesWhatWasWrittenBeforeItWasPositioned) {
  Db db = open_spread();
  for (const char* key : {"a", "u"}) EXPECT_TRUE(db.put(key, "stored"));
  for (const Locking locking : {Locking::optimistic, Locking::row_locks}) {
    Transaction step = db.begin({.locking = locking}).value();
    Iterator it = step.iterate().value();
    EXPECT_TRUE(step.put("h", "own"));
    EXPECT_THAT(keys_of(it), ElementsAre("a", "h", "u"));
    const Transaction::Savepoint here = step.savepoint().value();
    EXPECT_TRUE(step.erase("a"));
    EXPECT_TRUE(step.put("z", "own"));
    EXPECT_THAT(keys_of(it, true), ElementsAre("z", "u", "h"));
    EXPECT_TRUE(step.put("b", "own"));
    EXPECT_TRUE(it.seek("b"));
    EXPECT_EQ(it.key(), "b");
    EXPECT_TRUE(step.roll_back_to(here));
    EXPECT_THAT(keys_of(it), ElementsAre("a", "h", "u"));
    EXPECT_TRUE(step.put("never", "x"));
    step.rollback();
    EXPECT_FALSE(it.seek_first());
    EXPECT_EQ(it.status().error().code, Errc::invalid);
    EXPECT_EQ(step.iterate().error().code, Errc::invalid);
  }
  EXPECT_EQ(db.get("h").value(), std::nullopt);
}

/// Money is neither made nor lost, however transfers, snapshots and restarts meet.
TEST_F(TransactionTest, ManyThreadsMoveMoneyAcrossPartitions) {
  static constexpr int accounts = 8, threads = 4, transfers = 60, start = 100;
  const auto account = [](int i) { return std::string(1, "afhlnsuz"[i]); };
  {
    Db db = open_spread();
    for (int i = 0; i < accounts; ++i) EXPECT_TRUE(db.put(account(i), std::to_string(start)));
    std::atomic<int> conflicts{0};
    std::atomic<bool> end{false};
    std::thread observer([&] {
      while (!end.load()) {
        const Snapshot moment = db.snapshot().value();
        const Reader reader = db.reader({.snapshot = &moment});
        int sum = 0;
        for (int i = 0; i < accounts; ++i) sum += std::stoi(reader.get(account(i)).value().value());
        ASSERT_EQ(sum, accounts * start);
      }
    });
    std::vector<std::thread> movers;
    for (int mover = 0; mover < threads; ++mover) {
      movers.emplace_back([&, mover] {
        for (int i = 0; i < transfers;) {
          const std::string from = account((mover + i) % accounts),
                            to = account((mover * 3 + i * 5 + 1) % accounts);
          if (from == to) {
            ++i;
            continue;
          }
          const Locking locking = mover % 2 == 0 ? Locking::optimistic : Locking::row_locks;
          Transaction step =
              db.begin({.locking = locking, .durability = Durability::none, .lock_wait = 50ms}).value();
          const auto move = [&]() -> Result<> {
            const auto have = step.get(from), has = step.get(to);
            if (!have) return std::unexpected(have.error());
            if (!has) return std::unexpected(has.error());
            if (const auto put = step.put(from, std::to_string(std::stoi(have->value()) - 1)); !put)
              return put;
            if (const auto put = step.put(to, std::to_string(std::stoi(has->value()) + 1)); !put) return put;
            return step.commit();
          };
          const Result<> moved = move();
          if (moved) {
            ++i;
            continue;
          }
          ASSERT_TRUE(moved.error().code == Errc::conflict || moved.error().code == Errc::timed_out)
              << moved.error().to_string();
          ++conflicts;
        }
      });
    }
    for (std::thread& mover : movers) mover.join();
    end.store(true);
    observer.join();
  }
  Db db = open_spread();
  int sum = 0;
  for (int i = 0; i < accounts; ++i) sum += std::stoi(db.get(account(i)).value().value());
  EXPECT_EQ(sum, accounts * start);
}

TEST_F(TransactionTest, ABatchAcrossPartitionsIsOneStep) {
  Db db = open_spread();
  WriteBatch batch;
  batch.put("a", "1");
  batch.put("z", "1");
  batch.put("a", "2");
  batch.erase("none");
  EXPECT_TRUE(db.write(batch));
  EXPECT_EQ(db.get("a").value(), "2");
  EXPECT_EQ(db.get("z").value(), "1");

  std::atomic<int> answers{0};
  WriteBatch again;
  again.put("b", "1");
  again.erase("z");
  EXPECT_TRUE(db.write_async(again, [&](Result<> done) {
    EXPECT_TRUE(done);
    ++answers;
    answers.notify_all();
  }));
  answers.wait(0);
  EXPECT_EQ(db.get("b").value(), "1");
  EXPECT_EQ(db.get("z").value(), std::nullopt);

  batch.erase_range("a", "b");
  EXPECT_EQ(db.write(batch).error().code, Errc::unsupported);
  WriteBatch ranged;  // in one partition, up to its boundary
  ranged.put("aa", "x");
  ranged.erase_range("a", "g");
  ranged.put("ab", "behind it");
  EXPECT_TRUE(db.write(ranged));
  Iterator it = db.iterate().value();
  EXPECT_THAT(keys_of(it), ElementsAre("ab"));
}

TEST_F(TransactionTest, HandlesMayOutliveTheDatabase) {
  std::optional<Transaction> open_one;
  std::optional<Iterator> walk;
  std::optional<Snapshot> moment;
  {
    Db db = open_spread();
    EXPECT_TRUE(db.put("a", "1"));
    open_one = db.begin({.locking = Locking::row_locks}).value();
    EXPECT_TRUE(open_one->put("a", "2"));
    EXPECT_TRUE(open_one->put("z", "2"));
    walk = open_one->iterate().value();
    EXPECT_TRUE(walk->seek_first());
    moment = db.snapshot().value();
    EXPECT_TRUE(db.close());
  }
  EXPECT_EQ(open_one->get("a").error().code, Errc::closed);
  EXPECT_EQ(open_one->commit().error().code, Errc::closed);
  EXPECT_FALSE(walk->seek_last());
  EXPECT_EQ(walk->status().error().code, Errc::closed);
  Db db = open_spread();
  EXPECT_EQ(db.get("a").value(), "1");
}

}  // namespace
}  // namespace ashlar

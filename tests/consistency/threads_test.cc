/// Recorded histories of an embedded database that plain threads use through the public interface, on both
/// back ends, with shards of its own and with one that a thread of the program drives: closed and opened
/// again in between, or killed.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <thread>

#include "ashlar/runtime/ops/uring/uring_backend.h"
#include "tests/consistency/client.h"
#include "tests/crash/harness.h"

namespace ashlar::consistency {
namespace {

using namespace std::chrono_literals;

constexpr unsigned client_count = 5;

/// How one life of the database is.
struct Life {
  unsigned shards;
  bool drive;  ///< the last shard by the thread that opens it
};

class ThreadsTest : public ::testing::Test {
 protected:
  ThreadsTest()
      : directory_(std::filesystem::temp_directory_path() / ("ashlar-threads-" + std::to_string(getpid()))) {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directory(directory_);
  }
  ~ThreadsTest() override { std::filesystem::remove_all(directory_); }

  static bool available(const std::string& backend) {
    return backend != "uring" || UringBackend::create().has_value();
  }

  Result<Db> open(const std::string& backend, const Life& life) const {
    return Db::open((directory_ / "data").string(), {.shards = life.shards,
                                                     .drive = life.drive,
                                                     .boundaries = boundaries_of_clients(),
                                                     .settings = {{"runtime.backend", backend},
                                                                  {"kv.memtable-bytes", "64KiB"},
                                                                  {"kv.cache-bytes", "1MiB"},
                                                                  {"kv.level0-tables", "2"},
                                                                  {"kv.level1-bytes", "1MiB"},
                                                                  {"kv.table-bytes", "64KiB"},
                                                                  {"log.segment-bytes", "1MiB"},
                                                                  {"blob.reserve-bytes", "0B"},
                                                                  {"runtime.stall", "30s"}}});
  }

  /// What this thread does while others work: drives the shard that is its own, if any is.
  template <class Done>
  static void drive_until(Db& db, const Life& life, Done done) {
    while (!done()) {
      if (life.drive)
        (void)db.run_once(1ms);
      else
        std::this_thread::sleep_for(1ms);
    }
  }

  /// Clients on threads of their own, and one that disturbs them.
  static void crowd(Db& db, const Life& life, const std::vector<std::unique_ptr<Client>>& clients,
                    std::uint64_t seed) {
    std::atomic<std::size_t> left{clients.size()};
    std::atomic<bool> end{false};
    std::atomic<bool> ended{false};
    std::vector<std::thread> threads;
    for (const auto& client : clients) {
      threads.emplace_back([&left, &client] {
        client->run();
        left.fetch_sub(1);
      });
    }
    std::optional<std::string> wrong;
    std::thread disturbing([&] {
      wrong = disturb(db, seed, end);
      ended.store(true);
    });
    drive_until(db, life, [&] {
      if (left.load() == 0) end.store(true);
      return ended.load();
    });
    for (std::thread& thread : threads) thread.join();
    disturbing.join();
    EXPECT_FALSE(wrong) << *wrong;
  }

  std::filesystem::path directory_;
};

void expect_right(const ListHistory& lists, const RegisterHistory& registers,
                  const std::map<std::string, List>& last, bool serializable) {
  const auto wrong = lists.violation(last, serializable ? Level::serializable : Level::snapshot_isolation);
  EXPECT_FALSE(wrong) << *wrong;
  const auto unsound = registers.violation();
  EXPECT_FALSE(unsound) << *unsound;
}

struct How {
  const char* backend;
  bool serializable;
};
class Threads : public ThreadsTest, public ::testing::WithParamInterface<How> {};

TEST_P(Threads, SeeOneHistory) {
  const How how = GetParam();
  if (!available(how.backend)) GTEST_SKIP() << "no io_uring here";
  ListHistory lists;
  RegisterHistory registers;
  std::map<std::string, List> last;
  std::uint64_t number = 0, flushes = 0, compactions = 0, from_device = 0;
  for (const Life life : {Life{1, false}, Life{2, false}, Life{1, true}, Life{2, true}}) {
    SCOPED_TRACE(std::to_string(life.shards) + (life.drive ? " shards, driven" : " shards"));
    auto db = open(how.backend, life);
    ASSERT_TRUE(db) << db.error().to_string();
    const auto found = lists_of(*db);
    ASSERT_TRUE(found) << found.error().to_string();
    EXPECT_EQ(*found, last) << "closed in order, and opened";
    std::vector<std::unique_ptr<Client>> clients;
    for (unsigned i = 0; i < client_count; ++i) {
      ++number;
      clients.push_back(std::make_unique<Client>(*db, ClientPlan{.number = number,
                                                                 .seed = crash::base_seed() + number,
                                                                 .rounds = 60,
                                                                 .serializable = how.serializable}));
    }
    crowd(*db, life, clients, crash::base_seed());
    for (const auto& client : clients) {
      EXPECT_FALSE(client->wrong()) << *client->wrong();
      client->record(lists, registers);
    }
    const DbStats stats = db->stats().value();
    flushes += stats.flushes;
    compactions += stats.compactions;
    from_device += stats.reads_from_device;
    last = lists_of(*db).value();
    ASSERT_TRUE(db->close());
    if (HasFailure()) return;
  }
  expect_right(lists, registers, last, how.serializable);
  std::printf(
      "%zu transactions, %zu of them committed, %zu operations; %llu flushes, %llu compactions, %llu "
      "reads of the device\n",
      lists.transactions(), lists.committed(), registers.operations(),
      static_cast<unsigned long long>(flushes), static_cast<unsigned long long>(compactions),
      static_cast<unsigned long long>(from_device));
  EXPECT_GT(lists.committed(), 100u);
  EXPECT_GT(registers.operations(), 500u);
  EXPECT_GT(flushes, 4u);
  EXPECT_GT(compactions, 0u);
  EXPECT_GT(from_device, 0u);
}

INSTANTIATE_TEST_SUITE_P(On, Threads,
                         ::testing::Values(How{"uring", false}, How{"uring", true}, How{"epoll", false},
                                           How{"epoll", true}),
                         [](const auto& info) {
                           return std::string(info.param.backend) +
                                  (info.param.serializable ? "_serializable" : "_snapshots");
                         });

/// One key in each partition, which every transaction sets to its number: whoever looks must find one number
/// in all of them, and never an older one than was seen before.
constexpr const char* trio[] = {"list-0", "list-4", "register-3"};

Result<std::uint64_t> number_at(const Reader& reader, const char* key) {
  const auto value = TRY(reader.get(key));
  return value ? std::stoull(*value) : 0;
}

/// One that sets them, now by a transaction and now by a batch.
std::optional<std::string> set_trio(Db& db, std::atomic<std::uint64_t>& last, unsigned rounds) {
  for (unsigned i = 0; i < rounds; ++i) {
    const std::string value = std::to_string(last.fetch_add(1) + 1);
    Result<> done;
    if (i % 2 == 0) {
      WriteBatch batch;
      for (const char* key : trio) batch.put(key, value);
      done = db.write(batch);
    } else {
      auto step = db.begin({.isolation = Isolation::none});
      if (!step) return step.error().to_string();
      for (const char* key : trio) done = done ? step->put(key, value) : done;
      if (done) done = step->commit();
    }
    if (!done && done.error().code != Errc::conflict) return done.error().to_string();
  }
  return std::nullopt;
}

/// All at one snapshot; and one after the other as they are now, where `ordered`: numbers only grow.
std::optional<std::string> look_at_trio(const Db& db, bool ordered, const std::atomic<bool>& end,
                                        std::atomic<std::uint64_t>& looks) {
  const Reader newest = db.reader();
  std::uint64_t seen = 0;
  for (std::uint64_t i = 0; !end.load(std::memory_order_relaxed); ++i, looks.fetch_add(1)) {
    const auto snapshot = db.snapshot();
    if (!snapshot) return snapshot.error().to_string();
    const Reader reader = db.reader({.snapshot = &*snapshot});
    std::uint64_t all = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      const auto found = number_at(reader, trio[(i + k) % 3]);
      if (!found) return found.error().to_string();
      if (k == 0) all = *found;
      if (*found != all) return "half of " + std::to_string(*found) + " and of " + std::to_string(all);
    }
    for (std::size_t k = 0; ordered && k < 6; ++k) {
      const auto found = number_at(newest, trio[(i + k) % 3]);
      if (!found) return found.error().to_string();
      if (*found < std::max(all, seen)) return std::to_string(*found) + " after " + std::to_string(seen);
      seen = *found;
    }
  }
  return std::nullopt;
}

class Trio : public ThreadsTest, public ::testing::WithParamInterface<const char*> {
 protected:
  static void write_and_look(Db& db, const Life& life, unsigned writers) {
    std::atomic<std::uint64_t> last{0}, looks{0};
    std::atomic<unsigned> writing{writers}, running{writers + 2};
    std::atomic<bool> end{false};
    std::vector<std::optional<std::string>> wrong(writers + 2);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < writers; ++i) {
      threads.emplace_back([&, i] {
        wrong[i] = set_trio(db, last, 300 / writers);
        writing.fetch_sub(1);
        running.fetch_sub(1);
      });
    }
    for (unsigned i = writers; i < writers + 2; ++i) {
      threads.emplace_back([&, i] {
        wrong[i] = look_at_trio(db, writers == 1, end, looks);  // of two writers either may be the later one
        running.fetch_sub(1);
      });
    }
    drive_until(db, life, [&] {
      if (writing.load() == 0) end.store(true);
      return running.load() == 0;
    });
    for (std::thread& thread : threads) thread.join();
    for (const auto& each : wrong) EXPECT_FALSE(each) << *each;
    EXPECT_GT(looks.load(), 20u);
  }
};

TEST_P(Trio, IsNeverSeenHalf) {
  if (!available(GetParam())) GTEST_SKIP() << "no io_uring here";
  for (const Life life : {Life{1, false}, Life{2, false}, Life{2, true}}) {
    for (const unsigned writers : {1u, 2u}) {
      SCOPED_TRACE(std::to_string(life.shards) + (life.drive ? " shards, driven, " : " shards, ") +
                   std::to_string(writers) + " writers");
      auto db = open(GetParam(), life);
      ASSERT_TRUE(db) << db.error().to_string();
      write_and_look(*db, life, writers);
      for (const char* key : trio) EXPECT_TRUE(db->erase(key));
      EXPECT_TRUE(db->close());
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(On, Trio, ::testing::Values("uring", "epoll"),
                         [](const auto& info) { return std::string(info.param); });

/// Processes one after the other, each killed in the midst of its work but for the last: what one was told is
/// there for the next, and what it was not told is there as a whole or not at all.
class KilledThreads : public ThreadsTest, public ::testing::WithParamInterface<const char*> {
 protected:
  std::string journal_path(std::uint64_t client) const {
    return (directory_ / ("journal-" + std::to_string(client))).string();
  }

  /// In the child. Does not return where it is killed in time.
  void live(const Life& life, std::uint64_t first_number, int ready) const {
    auto db = open(GetParam(), life);
    if (!db) ::_exit(2);
    std::vector<std::unique_ptr<Journal>> journals;
    std::vector<std::unique_ptr<Client>> clients;
    for (unsigned i = 0; i < client_count; ++i) {
      const std::uint64_t number = first_number + i;
      journals.push_back(std::make_unique<Journal>(journal_path(number)));
      clients.push_back(std::make_unique<Client>(*db, ClientPlan{.number = number,
                                                                 .seed = crash::base_seed() + number,
                                                                 .rounds = 100'000,
                                                                 .serializable = false,
                                                                 .journal = journals.back().get()}));
    }
    const char byte = 1;
    if (::write(ready, &byte, 1) != 1) ::_exit(3);
    crowd(*db, life, clients, crash::base_seed());
    for (const auto& client : clients) {
      if (client->wrong()) std::fprintf(stderr, "%s\n", client->wrong()->c_str());
    }
    ::_exit(4);  // it was to be killed before
  }

  /// Its end: killed, or what was wrong. Times of the clients' clock until then.
  std::uint64_t live_and_die(const Life& life, std::uint64_t first_number, Random& random) const {
    int ready[2];
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) live(life, first_number, ready[1]);
    ::close(ready[1]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1) << "it did not open";
    ::close(ready[0]);
    std::this_thread::sleep_for(std::chrono::milliseconds(random.between(20, 400)));
    EXPECT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "it ended by itself: " << WEXITSTATUS(status);
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
};

TEST_P(KilledThreads, LoseNothingOfWhatTheyWereTold) {
  if (!available(GetParam())) GTEST_SKIP() << "no io_uring here";
  constexpr Life lives[] = {{1, false}, {2, false}, {1, true}, {2, true}, {2, false}, {1, false}};
  Random random(crash::base_seed());
  ListHistory lists;
  RegisterHistory registers;
  std::uint64_t number = 1;
  std::size_t open_ends = 0;
  for (const Life& life : lives) {
    const std::uint64_t killed = live_and_die(life, number, random);
    ASSERT_FALSE(HasFailure());
    for (unsigned i = 0; i < client_count; ++i, ++number)
      open_ends += read_journal(journal_path(number), killed, lists, registers);
  }
  std::map<std::string, List> last;
  {
    const Life life{2, false};
    Db db = open(GetParam(), life).value();
    std::vector<std::unique_ptr<Client>> clients;
    clients.push_back(std::make_unique<Client>(
        db, ClientPlan{.number = number, .seed = crash::base_seed() + number, .rounds = 30}));
    crowd(db, life, clients, crash::base_seed());
    clients.front()->record(lists, registers);
    EXPECT_FALSE(clients.front()->wrong()) << *clients.front()->wrong();
    last = lists_of(db).value();
    EXPECT_TRUE(db.close());
  }
  expect_right(lists, registers, last, false);
  std::printf(
      "%zu transactions, %zu of them committed, %zu operations; %zu had no end when the process was killed\n",
      lists.transactions(), lists.committed(), registers.operations(), open_ends);
  EXPECT_GT(lists.committed(), 30u);
  EXPECT_GT(registers.operations(), 100u);
  EXPECT_GT(open_ends, 0u);
}

INSTANTIATE_TEST_SUITE_P(On, KilledThreads, ::testing::Values("uring", "epoll"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace ashlar::consistency

/// Moves money between accounts, however many threads do so at once.

#include <ashlar/embed/ashlar.h>

#include <cstdio>
#include <string>
#include <thread>

namespace {

/// False where the account has too little. Begins again where another transaction came first.
ashlar::Result<bool> transfer(ashlar::Db& db, const char* from, const char* to, int amount) {
  for (;;) {
    auto begun = db.begin();
    if (!begun) return std::unexpected(begun.error());
    ashlar::Transaction step = *std::move(begun);
    const auto has = step.get(from), gets = step.get(to);
    if (!has || !gets) return std::unexpected(!has ? has.error() : gets.error());
    const int balance = std::stoi(has->value_or("0"));
    if (balance < amount) return false;
    if (auto done = step.put(from, std::to_string(balance - amount)); !done)
      return std::unexpected(done.error());
    if (auto done = step.put(to, std::to_string(std::stoi(gets->value_or("0")) + amount)); !done)
      return std::unexpected(done.error());
    const auto committed = step.commit();
    if (committed) return true;
    if (committed.error().code != ashlar::Errc::conflict) return std::unexpected(committed.error());
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Accounts up to "m" in one partition, the others in a second one.
  auto opened = ashlar::Db::open(argc > 1 ? argv[1] : "./transaction", {.boundaries = {"m"}});
  if (!opened) return 1;
  ashlar::Db db = *std::move(opened);
  if (!db.put("alice", "100") || !db.put("zoe", "100")) return 1;

  std::thread one([&] {
    for (int i = 0; i < 20; ++i) (void)transfer(db, "alice", "zoe", 3);
  });
  std::thread two([&] {
    for (int i = 0; i < 20; ++i) (void)transfer(db, "zoe", "alice", 2);
  });
  one.join();
  two.join();
  std::printf("alice: %s, zoe: %s\n", db.get("alice").value()->c_str(), db.get("zoe").value()->c_str());

  // A lock keeps others from the key; they wait until their deadline.
  auto holder = db.begin({.locking = ashlar::Locking::row_locks});
  if (!holder || !holder->lock("zoe")) return 1;
  const auto refused =
      db.put("zoe", "0", {.deadline = ashlar::Deadline::clock::now() + std::chrono::milliseconds(20)});
  std::printf("while it is locked: %s\n", ashlar::to_string(refused.error().code));
  holder->rollback();
  std::printf("afterwards: %s\n", db.put("zoe", "0") ? "ok" : "failed");
  return db.close() ? 0 : 1;
}

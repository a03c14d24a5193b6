#pragma once

/// What the history tests do to an embedded database: as workload.h, but by plain threads of a program and
/// through the public interface.

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/embed/ashlar.h"
#include "tests/consistency/journal.h"

namespace ashlar::consistency {

struct ClientPlan {
  std::uint64_t number = 0;  ///< its own in the history
  std::uint64_t seed = 0;
  unsigned rounds = 0;
  bool serializable = false;   ///< all of its transactions; otherwise they see snapshots
  Journal* journal = nullptr;  ///< null: what happened is kept in memory alone
};

/// One thread, which does one thing after the other and records each. Owner: that thread, until it has ended.
class Client {
 public:
  Client(Db& db, const ClientPlan& plan)
      : db_(db), plan_(plan), last_(plan.number << 32), random_(plan.seed), reader_(db.reader()) {}

  /// Until it has done its share, or something went wrong.
  void run();

  /// What it saw, for the histories; after run().
  void record(ListHistory& lists, RegisterHistory& registers);
  const std::optional<std::string>& wrong() const noexcept { return wrong_; }

 private:
  using Operation = std::pair<std::string, RegisterOperation>;
  using ListRead = std::map<std::string, List>;

  void transact();
  Result<> read_some(Transaction& step, ListTransaction& record);
  Result<> append_some(Transaction& step, ListTransaction& record);
  void append_by_swap();
  void look_at_all();
  Result<ListRead> read_snapshot();
  Result<ListRead> walk();

  void put();
  void put_several();
  void swap();
  void get();
  void get_pinned();
  void get_several();

  void note(const ListTransaction& transaction, std::uint64_t number);
  void write_is_under_way(std::uint64_t number, const std::string& key, const RegisterOperation& operation);
  void written(std::uint64_t number, const std::string& key, RegisterOperation operation,
               const Result<>& done);
  void was_read(const std::string& key, std::uint64_t invoked, RegisterValue value);
  bool passes(const Error& error);
  std::string text_of(std::uint64_t number);

  Db& db_;
  ClientPlan plan_;
  std::uint64_t last_;  // number that it gave out, to a value or an operation
  Random random_;
  Reader reader_;
  std::vector<ListTransaction> transactions_;
  std::vector<Operation> registers_;
  std::optional<std::string> wrong_;
};

/// All lists, in one snapshot.
Result<std::map<std::string, List>> lists_of(const Db& db);

/// Where the keys of the clients are divided, so that lists and registers are in all of three partitions.
std::vector<std::string> boundaries_of_clients();

/// Writes and reads other keys, more than the cache holds, so that memtables are flushed, tables merged,
/// values collected and blocks evicted all the while; each value tells its key. Until `end`. Nothing, or what
/// was wrong.
std::optional<std::string> disturb(Db& db, std::uint64_t seed, const std::atomic<bool>& end);

}  // namespace ashlar::consistency

#pragma once

/// Isolation of transactions that append to lists, from a recorded history. What a list holds tells in which
/// order its versions came, so that every dependency between transactions can be read off the history, and an
/// anomaly is a cycle of them (Adya; the workload is Elle's; the condition for snapshot isolation is Cerone
/// and Gotsman's).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ashlar::consistency {

using List = std::vector<std::uint64_t>;

/// One transaction as its caller saw it.
struct ListTransaction {
  enum class End : std::uint8_t { committed, aborted, unknown };
  std::uint64_t begun = 0, ended = 0;            ///< times of one clock, in any unit
  std::map<std::string, List> reads;             ///< before its own appends
  std::map<std::string, std::uint64_t> appends;  ///< one to each list; each number is appended once in all
  End end = End::unknown;
};

enum class Level : std::uint8_t {
  /// A transaction sees a snapshot that has everything committed before it began, and of two that append to
  /// one
  /// list one sees the other's.
  snapshot_isolation,
  /// As if one after the other, in an order that agrees with time.
  serializable,
};

class ListHistory {
 public:
  void add(ListTransaction transaction) { transactions_.push_back(std::move(transaction)); }
  std::size_t transactions() const noexcept { return transactions_.size(); }
  std::size_t committed() const noexcept;

  /// Nothing where the history, which ends with these lists, is possible at that level; else what is wrong: a
  /// read of an aborted or half transaction, a lost append, a list that is no prefix of the last, or a cycle.
  std::optional<std::string> violation(const std::map<std::string, List>& final_lists, Level level) const;

 private:
  std::vector<ListTransaction> transactions_;
};

}  // namespace ashlar::consistency

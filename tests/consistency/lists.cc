/// Steps:
///
/// 1. A transaction whose end is unknown was committed if any of its numbers is in a last list. Of those that
///    were committed all numbers are there, of the others none.
/// 2. What was read is a prefix of the last list: so each read names the version it saw.
/// 3. Dependencies: *writes* (appended the next number of a list), *reads* (read a version that has its
/// number),
///    *time* (was told of its commit before the other began), and *overwrites* (appended the number behind
///    the version that was read).
/// 4. Serializable: there is no cycle. Snapshot isolation: none of those in which no two overwrites follow
/// each
///    other; such a cycle is one of steps that are a dependency of the other kinds, alone or with one
///    overwrite behind it.

#include "tests/consistency/lists.h"

#include <algorithm>
#include <functional>
#include <set>

namespace ashlar::consistency {

namespace {

using End = ListTransaction::End;
using Edges = std::vector<std::set<std::size_t>>;

bool contains(const List& list, std::uint64_t number) {
  return std::ranges::find(list, number) != list.end();
}

std::string text_of(const List& list) {
  std::string text;
  for (const std::uint64_t number : list) text += ' ' + std::to_string(number);
  return text;
}

std::string text_of(const ListTransaction& transaction) {
  constexpr const char* ends[] = {"committed", "aborted", "unknown"};
  std::string text = " " + std::to_string(transaction.begun) + "–" + std::to_string(transaction.ended) + " " +
                     ends[static_cast<unsigned>(transaction.end)];
  for (const auto& [key, read] : transaction.reads) text += "; read " + key + ":" + text_of(read);
  for (const auto& [key, number] : transaction.appends)
    text += "; append " + key + ": " + std::to_string(number);
  return text + "\n";
}

std::string text_of(const std::map<std::string, List>& lists) {
  std::string text;
  for (const auto& [key, list] : lists) text += " " + key + ":" + text_of(list) + "\n";
  return text;
}

/// A cycle's nodes, or nothing.
std::vector<std::size_t> find_cycle(const Edges& edges) {
  enum class Mark : std::uint8_t { fresh, open, done };
  std::vector<Mark> marks(edges.size(), Mark::fresh);
  std::vector<std::size_t> path, cycle;
  const std::function<bool(std::size_t)> visit = [&](std::size_t node) {
    if (marks[node] == Mark::done) return false;
    path.push_back(node);
    if (marks[node] == Mark::open) {
      cycle.assign(std::ranges::find(path, node), path.end());
      return true;
    }
    marks[node] = Mark::open;
    for (const std::size_t next : edges[node]) {
      if (visit(next)) return true;
    }
    path.pop_back();
    marks[node] = Mark::done;
    return false;
  };
  for (std::size_t node = 0; node < edges.size(); ++node) {
    if (visit(node)) return cycle;
  }
  return {};
}

/// What the transactions that were committed say of each other.
class Graph {
 public:
  Graph(const std::vector<const ListTransaction*>& transactions, const std::map<std::string, List>& lists)
      : depends_(transactions.size()), overwrites_(transactions.size()) {
    for (std::size_t i = 0; i < transactions.size(); ++i) {
      for (const auto& [key, number] : transactions[i]->appends) writer_[number] = i;
    }
    for (const auto& [key, list] : lists) {
      for (std::size_t i = 1; i < list.size(); ++i)
        depends_[writer_.at(list[i - 1])].insert(writer_.at(list[i]));
    }
    for (std::size_t i = 0; i < transactions.size(); ++i) add_reads(i, *transactions[i], lists);
    for (std::size_t i = 0; i < transactions.size(); ++i) {
      for (std::size_t k = 0; k < transactions.size(); ++k) {
        if (transactions[i]->end == End::committed && transactions[i]->ended < transactions[k]->begun)
          depends_[i].insert(k);
      }
    }
  }

  std::vector<std::size_t> cycle(Level level) const {
    Edges edges = depends_;
    for (std::size_t i = 0; i < edges.size(); ++i) {
      if (level == Level::serializable) {
        edges[i].insert(overwrites_[i].begin(), overwrites_[i].end());
      } else {
        for (const std::size_t k : depends_[i]) edges[i].insert(overwrites_[k].begin(), overwrites_[k].end());
      }
    }
    return find_cycle(edges);
  }

 private:
  void add_reads(std::size_t reader, const ListTransaction& transaction,
                 const std::map<std::string, List>& lists) {
    for (const auto& [key, read] : transaction.reads) {
      if (!read.empty() && writer_.at(read.back()) != reader)
        depends_[writer_.at(read.back())].insert(reader);
      const auto last = lists.find(key);
      if (last == lists.end() || last->second.size() == read.size()) continue;
      const std::size_t next = writer_.at(last->second[read.size()]);
      if (next != reader) overwrites_[reader].insert(next);
    }
  }

  std::map<std::uint64_t, std::size_t> writer_;  // of each number
  Edges depends_, overwrites_;                   // i to those that come after it
};

}  // namespace

std::size_t ListHistory::committed() const noexcept {
  return static_cast<std::size_t>(std::ranges::count(transactions_, End::committed, &ListTransaction::end));
}

std::optional<std::string> ListHistory::violation(const std::map<std::string, List>& final_lists,
                                                  Level level) const {
  const auto list_of = [&](const std::string& key) {
    const auto found = final_lists.find(key);
    return found == final_lists.end() ? List() : found->second;
  };
  std::vector<const ListTransaction*> happened;
  std::size_t numbers = 0;
  for (const ListTransaction& transaction : transactions_) {
    std::size_t there = 0;
    for (const auto& [key, number] : transaction.appends) there += contains(list_of(key), number) ? 1 : 0;
    const bool whole = there == transaction.appends.size();
    if (there != 0 && !whole) return "half is there of" + text_of(transaction) + text_of(final_lists);
    if (transaction.end == End::committed && !whole)
      return "lost:" + text_of(transaction) + text_of(final_lists);
    if (transaction.end == End::aborted && there != 0)
      return "aborted, and there:" + text_of(transaction) + text_of(final_lists);
    numbers += there;
    const bool counts = transaction.appends.empty() ? transaction.end == End::committed : whole;
    if (counts) happened.push_back(&transaction);
  }
  std::size_t in_lists = 0;
  for (const auto& [key, list] : final_lists) {
    if (std::set(list.begin(), list.end()).size() != list.size())
      return key + " has a number twice:" + text_of(list);
    in_lists += list.size();
  }
  if (in_lists != numbers) return "a list has what nobody appended";
  for (const ListTransaction* transaction : happened) {
    for (const auto& [key, read] : transaction->reads) {
      const List last = list_of(key);
      if (read.size() > last.size() || !std::equal(read.begin(), read.end(), last.begin()))
        return key + " was read as" + text_of(read) + ", and ends as" + text_of(last);
    }
  }
  const auto cycle = Graph(happened, final_lists).cycle(level);
  if (cycle.empty()) return std::nullopt;
  std::string text = "a cycle of transactions:\n";
  for (const std::size_t i : cycle) text += text_of(*happened[i]);
  return text;
}

}  // namespace ashlar::consistency

#pragma once

/// Linearizability of registers, from a recorded history (Wing and Gong's search, with Lowe's memory of
/// states).

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ashlar::consistency {

/// What a register holds; nothing: it is absent.
using RegisterValue = std::optional<std::uint64_t>;

/// One operation on one key, as its caller saw it. Times are of one clock, in any unit.
struct RegisterOperation {
  std::uint64_t invoked = 0;
  std::uint64_t returned =
      0;  ///< of one that failed or was cut short: the last moment at which it may have happened
  bool write = false;
  RegisterValue value;  ///< written or read
  bool certain = true;  ///< false: a write that may never have happened
  /// Of a compare-and-swap what it expected, and found: `write`; or did not find, and did nothing.
  std::optional<RegisterValue> expected = std::nullopt;

  /// Whether it can happen to a register that holds `now`.
  bool possible(const RegisterValue& now) const {
    if (expected) return (*expected == now) == write;
    return write || value == now;
  }
};

/// Histories by key. Reads that failed are not recorded.
class RegisterHistory {
 public:
  void add(const std::string& key, RegisterOperation operation) { keys_[key].push_back(operation); }
  std::size_t operations() const;
  /// Nothing where each key's history is linearizable, all keys being absent at first; else the key and what
  /// it went through, for a message.
  std::optional<std::string> violation() const;

 private:
  std::map<std::string, std::vector<RegisterOperation>> keys_;
};

}  // namespace ashlar::consistency

/// The search, for one key:
///
/// 1. Some operation is chosen as the next to take effect: one that was invoked before each of those that
/// must
///    still take effect had returned, and that had not returned before one that has taken effect was invoked.
/// 2. A read must find what is there; a write changes it. Then again from 1, until all that are certain have
///    taken effect.
/// 3. Where nothing can be chosen, the last choice is taken back. A set of operations that has been left with
///    the same value before does not lead anywhere.

#include "tests/consistency/registers.h"

#include <algorithm>
#include <set>
#include <utility>

namespace ashlar::consistency {

namespace {

using Operations = std::vector<RegisterOperation>;

class Search {
 public:
  explicit Search(Operations operations) : operations_(std::move(operations)), taken_(operations_.size()) {
    std::ranges::sort(operations_, {}, &RegisterOperation::invoked);
    for (const RegisterOperation& operation : operations_) left_ += operation.certain ? 1 : 0;
  }

  bool explains() { return go_on({}, 0, 0); }

 private:
  /// `invoked`: when the latest of those taken was; `first`: everything before is taken.
  bool go_on(RegisterValue value, std::uint64_t invoked, std::size_t first) {
    if (left_ == 0) return true;
    while (first < operations_.size() && taken_[first]) ++first;
    if (!seen_.insert({taken_, value}).second) return false;
    std::uint64_t deadline = std::numeric_limits<std::uint64_t>::max();
    for (std::size_t i = first; i < operations_.size(); ++i) {
      if (!taken_[i] && operations_[i].certain) deadline = std::min(deadline, operations_[i].returned);
    }
    for (std::size_t i = first; i < operations_.size() && operations_[i].invoked <= deadline; ++i) {
      const RegisterOperation& next = operations_[i];
      if (taken_[i] || next.returned < invoked || !next.possible(value)) continue;
      taken_[i] = true;
      left_ -= next.certain ? 1 : 0;
      if (go_on(next.write ? next.value : value, std::max(invoked, next.invoked), first)) return true;
      taken_[i] = false;
      left_ += next.certain ? 1 : 0;
    }
    return false;
  }

  Operations operations_;
  std::vector<bool> taken_;
  std::size_t left_ = 0;  // that are certain, and not taken
  std::set<std::pair<std::vector<bool>, RegisterValue>> seen_;
};

std::string text_of(const RegisterValue& value) {
  return value ? std::to_string(*value) : "nothing";
}
std::string text_of(const RegisterOperation& operation) {
  std::string text = std::to_string(operation.invoked) + "–" + std::to_string(operation.returned);
  if (operation.expected)
    text += (operation.write ? " found " : " did not find ") + text_of(*operation.expected);
  if (operation.write) {
    text += (operation.certain ? " write " : " perhaps write ") + text_of(operation.value);
  } else if (!operation.expected) {
    text += " read " + text_of(operation.value);
  }
  return text + "\n";
}

}  // namespace

std::size_t RegisterHistory::operations() const {
  std::size_t count = 0;
  for (const auto& [key, operations] : keys_) count += operations.size();
  return count;
}

std::optional<std::string> RegisterHistory::violation() const {
  for (const auto& [key, operations] : keys_) {
    if (Search(operations).explains()) continue;
    std::string text = key + ":\n";
    for (const RegisterOperation& operation : operations) text += text_of(operation);
    return text;
  }
  return std::nullopt;
}

}  // namespace ashlar::consistency

#pragma once

/// What the engine is told about the keys of each type: those of the store itself, and of each column family.

#include <array>

#include "ashlar/kv/key.h"
#include "ashlar/kv/merge_operator.h"

namespace ashlar::lsm {

struct KeyRules {
  const kv::MergeOperator* merge_operator = nullptr;  ///< null: such keys take no merge operands
  std::uint64_t ttl_ms = 0;                           ///< of what is written without an expiry; 0: it stays
  bool exists = true;                                 ///< false: there is no such column family, or type
};

/// Owner shard only; changed between operations.
class KeyRuleTable {
 public:
  /// No operator, no TTL, no column family, and nothing of types that have no meaning.
  KeyRuleTable() noexcept {
    for (std::size_t type = static_cast<std::size_t>(kv::KeyType::element) + 1; type < rules_.size(); ++type)
      rules_[type].exists = false;
  }
  const KeyRules& operator[](Bytes stored_key) const noexcept {
    return rules_[static_cast<std::size_t>(stored_key[0])];
  }
  void set(std::uint8_t type, const KeyRules& rules) noexcept {
    rules_[type] = rules;
    any_ttl_ = false;
    for (const KeyRules& each : rules_) any_ttl_ |= each.ttl_ms != 0;
  }
  bool any_ttl() const noexcept { return any_ttl_; }

 private:
  std::array<KeyRules, 256> rules_{};
  bool any_ttl_ = false;
};

}  // namespace ashlar::lsm

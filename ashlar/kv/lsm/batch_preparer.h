#pragma once

/// Brings a batch into the form in which it is stored. Format: docs/formats/key.md, "Batch".

#include <deque>
#include <span>
#include <unordered_map>
#include <vector>

#include "ashlar/kv/lsm/key_rules.h"
#include "ashlar/kv/lsm/operands.h"
#include "ashlar/kv/partition.h"

namespace ashlar::lsm {

/// Of each key at most one merge operand, and none beside another write of it (what has expired by now is
/// erased to an operand behind it); nothing that an erased range behind it covers; an expiry where the key's
/// family has a TTL. Owner shard; its memory is reused.
class BatchPreparer {
 public:
  /// Most batches are in that form as they come.
  static bool needed(std::span<const kv::Write> writes, const KeyRuleTable& rules) noexcept {
    if (rules.any_ttl()) return true;
    for (const kv::Write& write : writes) {
      if (write.kind == Kind::merge || write.kind == Kind::erase_range) return true;
    }
    return false;
  }

  /// What to store instead; views of `writes` and of memory that is valid until the next call. `unsupported`
  /// for an operand of a key without an operator; the operator's errors where it must merge at once.
  Result<std::span<const kv::Write>> prepare(std::span<const kv::Write> writes, const KeyRuleTable& rules,
                                             std::uint64_t now_ms);

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  Result<> add_operand(kv::Write write, const KeyRuleTable& rules, std::uint64_t now_ms);
  Result<> merge_onto(std::uint32_t at, const kv::Write& operand, const kv::MergeOperator& by,
                      std::uint64_t now_ms);
  void add(const kv::Write& write);
  void drop_covered(const kv::Write& range) noexcept;
  std::uint32_t find(const kv::StoredKey& key) const noexcept;

  std::vector<kv::Write> writes_;
  std::vector<bool> dropped_;                               // of writes_
  std::vector<std::vector<std::byte>*> lists_;              // of writes_: where its operands are
  std::unordered_map<std::uint64_t, std::uint32_t> index_;  // hash of key → its newest write; looked up only
  std::deque<std::vector<std::byte>> values_;
};

}  // namespace ashlar::lsm

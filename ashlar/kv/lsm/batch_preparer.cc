#include "ashlar/kv/lsm/batch_preparer.h"

#include <algorithm>

namespace ashlar::lsm {

namespace {

bool covers(const kv::Write& range, Bytes key) noexcept {
  return compare(range.key->bytes(), key) <= 0 && (range.value.empty() || compare(key, range.value) < 0);
}

}  // namespace

Result<std::span<const kv::Write>> BatchPreparer::prepare(std::span<const kv::Write> writes,
                                                          const KeyRuleTable& rules, std::uint64_t now_ms) {
  writes_.clear();
  dropped_.clear();
  lists_.clear();
  index_.clear();
  values_.clear();
  for (kv::Write write : writes) {
    if (write.key != nullptr && write.key->bytes().empty()) return fail(Errc::too_large, "key");
    const bool grows = write.kind == Kind::put || write.kind == Kind::merge;
    if (grows && write.expiry_ms == no_expiry) {
      if (const std::uint64_t ttl_ms = rules[write.key->bytes()].ttl_ms; ttl_ms != 0)
        write.expiry_ms = now_ms + ttl_ms;
    }
    if (write.kind == Kind::merge) {
      TRY(add_operand(write, rules, now_ms));
      continue;
    }
    if (write.kind == Kind::erase_range) drop_covered(write);
    add(write);
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < writes_.size(); ++i) {
    if (!dropped_[i]) writes_[kept++] = writes_[i];
  }
  return std::span<const kv::Write>(writes_.data(), kept);
}

/// The newest write of the key here, or none. Of two keys with one hash the older is not found: then both are
/// stored, and which of equal sequences counts is decided by the order of the batch.
std::uint32_t BatchPreparer::find(const kv::StoredKey& key) const noexcept {
  const auto found = index_.find(key.hash());
  if (found == index_.end() || dropped_[found->second]) return none;
  return equal(writes_[found->second].key->bytes(), key.bytes()) ? found->second : none;
}

void BatchPreparer::add(const kv::Write& write) {
  if (write.kind == Kind::put || write.kind == Kind::erase) {
    const std::uint32_t older = find(*write.key);
    if (older != none) dropped_[older] = true;
  }
  if (write.kind != Kind::erase_range && write.kind != Kind::clear)
    index_[write.key->hash()] = static_cast<std::uint32_t>(writes_.size());
  writes_.push_back(write);
  dropped_.push_back(false);
  lists_.push_back(nullptr);
}

Result<> BatchPreparer::add_operand(kv::Write write, const KeyRuleTable& rules, std::uint64_t now_ms) {
  const kv::MergeOperator* const by = rules[write.key->bytes()].merge_operator;
  if (by == nullptr) return fail(Errc::unsupported, "merge: no operator for keys of this type");
  if (const std::uint32_t older = find(*write.key); older != none)
    return merge_onto(older, write, *by, now_ms);
  std::vector<std::byte>& list = values_.emplace_back();
  list.reserve(operand_bytes(write.value));
  append_operand(list, write.value);
  write.value = list;
  add(write);
  lists_.back() = &list;
  return {};
}

/// One entry of the batch takes in the next operand of its key. Where it has expired it is a tombstone, as
/// for an operand of a later batch: what comes of the operand hides it, and all that is older.
Result<> BatchPreparer::merge_onto(std::uint32_t at, const kv::Write& operand, const kv::MergeOperator& by,
                                   std::uint64_t now_ms) {
  kv::Write& older = writes_[at];
  const bool absent = kv::is_absent(older.kind, older.expiry_ms, now_ms);
  if (std::vector<std::byte>* const list = lists_[at]; list != nullptr && !absent) {
    append_operand(*list, operand.value);
    older.value = *list;
  } else {
    std::vector<std::byte>& result = values_.emplace_back();
    std::vector<std::byte> single;
    append_operand(single, operand.value);
    Operands operands(Operands::Walk::oldest_first);
    operands.add(single);
    const auto base = absent ? std::nullopt : std::optional(older.value);
    TRY(operands.merge(&by, operand.key->bytes(), base, result));
    if (absent) older.expiry_ms = no_expiry;
    older.kind = Kind::put;
    older.value = result;
    lists_[at] = nullptr;
  }
  if (operand.expiry_ms != no_expiry) older.expiry_ms = operand.expiry_ms;
  return {};
}

/// What an erased range covers is not stored where it stands before it.
void BatchPreparer::drop_covered(const kv::Write& range) noexcept {
  for (std::size_t i = 0; i < writes_.size(); ++i) {
    const bool of_one_key = writes_[i].kind != Kind::erase_range && writes_[i].kind != Kind::clear;
    if (of_one_key && covers(range, writes_[i].key->bytes())) dropped_[i] = true;
  }
}

}  // namespace ashlar::lsm

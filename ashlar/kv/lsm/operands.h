#pragma once

/// Merge operands as entries hold them, and what becomes of them. Format: docs/formats/key.md, "Merge
/// operands".

#include <optional>
#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/key.h"
#include "ashlar/kv/merge_operator.h"

namespace ashlar::lsm {

/// Adds one operand to the value of an entry of kind merge.
void append_operand(std::vector<std::byte>& list, Bytes operand);
/// Bytes that it takes there.
std::size_t operand_bytes(Bytes operand) noexcept;
/// Whether these bytes are such a value: one operand or more.
bool is_operand_list(Bytes list) noexcept;

/// The operands of one key as a walk meets them, entry by entry. Copies. Not thread-safe; reused.
class Operands {
 public:
  enum class Walk : std::uint8_t { newest_first, oldest_first };
  explicit Operands(Walk walk) noexcept : walk_(walk) {}

  void clear() noexcept;
  bool empty() const noexcept { return lists_.empty(); }
  /// The value of the next entry of kind merge.
  void add(Bytes list);
  /// Of all values added.
  std::size_t bytes() const noexcept { return bytes_.size(); }

  /// What the operator makes of them and `base`, into `result`. `unsupported` without an operator, `corrupt`
  /// where a value is no list, `too_large` beyond value_bytes_max; the operator's own errors.
  Result<> merge(const kv::MergeOperator* by, Bytes stored_key, std::optional<Bytes> base,
                 std::vector<std::byte>& result) const;
  /// One value for all of them, into `result`: fewer operands where `by`, if any, can combine them.
  void combine(const kv::MergeOperator* by, Bytes stored_key, std::vector<std::byte>& result) const;

 private:
  struct List {
    std::size_t offset, bytes;
  };
  /// Oldest first; false where a value is no list.
  bool collect(std::vector<Bytes>& operands) const;

  Walk walk_;
  std::vector<std::byte> bytes_;
  std::vector<List> lists_;  // as they came
};

}  // namespace ashlar::lsm

#pragma once

/// Merge operators: how a value is changed by a write that has not read it. Format and rules:
/// docs/formats/key.md, "Merge operands".
///
///   const kv::Write add{.key = &key, .value = as_bytes(eight_bytes), .kind = kv::Kind::merge};
///   const Ticket ticket = TRY(partition.append(add));

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/bytes.h"
#include "ashlar/base/result.h"

namespace ashlar::kv {

/// Thread safety: called on every shard, at any time, also by compaction: no state, no I/O, and the same
/// result for the same arguments. Lifecycle: outlives every store that it is registered with. Views are valid
/// during the call.
class MergeOperator {
 public:
  virtual ~MergeOperator() = default;

  /// What is recorded in a directory, and must be found again when it is opened.
  virtual std::string_view name() const noexcept = 0;
  /// The value that `operands`, the oldest first and at least one, make of `base` (nothing: the key is
  /// absent). `result` is empty at first. An error fails the read, and changes nothing that is stored.
  virtual Result<> merge(Bytes user_key, std::optional<Bytes> base, std::span<const Bytes> operands,
                         std::vector<std::byte>& result) const = 0;
  /// One operand that does what two neighbours do; false where there is none, and `result` is not looked at.
  virtual bool combine([[maybe_unused]] Bytes user_key, [[maybe_unused]] Bytes older,
                       [[maybe_unused]] Bytes newer, [[maybe_unused]] std::vector<std::byte>& result) const {
    return false;
  }
};

/// Operators by name. Those that are built in are always there:
///
///   append      the operand is added at the end; append:C puts C between two, which is one of , ; : | space,
///               tab and newline
///   add64       signed 64-bit little-endian numbers; absent is 0, overflow wraps
///   max64 min64 the larger, the smaller of such numbers
///   max min     the larger, the smaller string of bytes
///
/// Filled before the first store is opened with it; then usable from any thread.
class MergeOperators {
 public:
  MergeOperators();
  MergeOperators(MergeOperators&&) noexcept = default;
  MergeOperators& operator=(MergeOperators&&) noexcept = default;

  /// `exists` where there is one of that name.
  Result<> add(std::unique_ptr<MergeOperator> merge_operator);
  /// Null where there is none.
  const MergeOperator* find(std::string_view name) const noexcept;

 private:
  std::vector<std::unique_ptr<MergeOperator>> operators_;
};

}  // namespace ashlar::kv

#pragma once

/// A program's own merge operators: how a value is changed by a write that has not read it.
///
///   struct Longest final : ashlar::MergeOperator { … };
///   ashlar::DbOptions options{.merge_operator = "longest", .merge_operators =
///   {std::make_shared<Longest>()}};
///
/// Those that are built in: append (append:C with one of , ; : | space, tab and newline between), add64,
/// max64, min64 (signed 64-bit little-endian numbers; absent is 0 for add64), max, min (strings of bytes).

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ashlar/base/error.h"

namespace ashlar {

/// Thread safety: called on every shard, at any time, also by compaction: no state, no I/O, no call of the
/// database, and the same result for the same arguments, in every version of the program that opens the
/// directory. Nothing may be thrown. Views are valid during the call.
class MergeOperator {
 public:
  virtual ~MergeOperator() = default;

  /// What is recorded in the directory, and must be given again whenever it is opened. The same each time.
  virtual std::string_view name() const noexcept = 0;
  /// The value that `operands`, the oldest first and at least one, make of `base` (nothing: the key is
  /// absent). `result` is empty at first. An error fails the read, and changes nothing that is stored.
  virtual Result<> merge(std::string_view key, std::optional<std::string_view> base,
                         std::span<const std::string_view> operands, std::string& result) const = 0;
  /// One operand that does what two neighbours do; false where there is none, and `result` is not looked at.
  virtual bool combine([[maybe_unused]] std::string_view key, [[maybe_unused]] std::string_view older,
                       [[maybe_unused]] std::string_view newer, [[maybe_unused]] std::string& result) const {
    return false;
  }
};

}  // namespace ashlar

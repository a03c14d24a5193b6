#pragma once

/// What a repair knows of value tables: which are whole, and who refers to which.

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "ashlar/kv/lsm/table_job.h"
#include "ashlar/kv/lsm/value_check.h"

namespace ashlar::lsm {

/// By value table: where the last value ends that a key table refers to.
using ValueEnds = std::map<std::uint64_t, std::uint64_t>;

/// Gathers what a key table refers to, as its check shows the entries.
class UseCheck final : public EntryVisitor {
 public:
  Result<> on_entry(const Entry& entry, ErrorPlace place) override;
  ValueEnds uses() && { return std::move(uses_); }

 private:
  ValueEnds uses_;
};

/// To jobs: moves values out of tables that are not whole, and drops entries whose values cannot be read.
class RepairValues final : public ValueSource {
 public:
  explicit RepairValues(blob::Store& blobs) noexcept : blobs_(blobs) {}

  /// Looks at a value table; nothing where it is whole, or why it is not. Other errors than damage as they
  /// are.
  Task<Result<std::optional<Error>>> check(std::uint64_t partition, std::uint64_t number);
  /// What this key table refers to.
  void refers(std::uint64_t table, ValueEnds uses) { uses_[table] = std::move(uses); }
  /// The key table goes.
  void forget(std::uint64_t table) { uses_.erase(table); }
  /// Value tables that were written, and that tables refer to.
  void add(const std::vector<ValueTableMeta>& written);

  /// Whether the key table refers to one that is not whole, or not there, or to what is beyond one's end.
  bool concern(std::uint64_t table) const;
  /// No key table does.
  bool all_there() const;
  /// For the manifest: whole, and referred to.
  std::map<std::uint64_t, ValueTableMeta> named() const;
  /// Whole, and not referred to.
  std::vector<std::uint64_t> unreferenced() const;
  std::uint64_t lost() const noexcept { return lost_; }

  Result<> check(const ValueRef&, ErrorPlace) const noexcept override { return {}; }  // such an entry goes
  bool moves(const ValueRef& ref) const noexcept override { return !holds(ref.table, ref.end()); }
  Task<Result<LoadedValue>> load(ValueRef ref) override;
  Result<bool> drop(const ValueRef& ref, const Error& why) override;

 private:
  bool holds(std::uint64_t values, std::uint64_t end) const noexcept;
  bool referenced(std::uint64_t values) const;

  blob::Store& blobs_;
  std::map<std::uint64_t, ValueTableMeta> whole_;
  std::map<std::uint64_t, ValueEnds> uses_;  // by key table
  std::map<std::uint64_t, std::unique_ptr<blob::Table>> open_;
  std::vector<std::uint64_t> written_;  // ascending
  std::uint64_t lost_ = 0;
};

}  // namespace ashlar::lsm

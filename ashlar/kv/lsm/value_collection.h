#pragma once

/// Which value tables are emptied, and by which jobs. Rules: docs/formats/value-table.md, "Collection".

#include <optional>
#include <vector>

#include "ashlar/kv/lsm/compaction.h"
#include "ashlar/kv/lsm/table_job.h"

namespace ashlar::lsm {

/// Numbers of value tables with so much garbage that they are to be emptied, ascending; where the disk is
/// `full`, one of them at most, the one with the least alive.
std::vector<std::uint64_t> due_values(const Version& version, const Shape& shape, bool full);

/// Those of value tables that a job to this level moves all it meets out of.
std::vector<std::uint64_t> values_to_move(const Version& version, const Shape& shape, unsigned output_level,
                                          bool full);

/// How many bytes of them the table refers to.
std::uint64_t bytes_of(const TableFile& table, const std::vector<std::uint64_t>& values) noexcept;

/// Jobs that rewrite tables of one run that refer to them, each beside the other and none of them busy; the
/// best first. Not known to be permitted.
std::vector<Compaction> collections(const Version& version, const Shape& shape,
                                    const std::vector<std::uint64_t>& due, bool full);

/// The value tables of a version, to a job. Both outlive it.
class VersionValues final : public ValueSource {
 public:
  VersionValues(const Version& version, const std::vector<std::uint64_t>& moved) noexcept
      : version_(version), moved_(moved) {}

  Result<> check(const ValueRef& ref, ErrorPlace place) const noexcept override;
  bool moves(const ValueRef& ref) const noexcept override;
  Task<Result<LoadedValue>> load(ValueRef ref) override;
  /// Damage keeps the value where it is, and its table from being collected.
  Result<bool> drop(const ValueRef& ref, const Error& why) override;

 private:
  const Version& version_;
  const std::vector<std::uint64_t>& moved_;
};

}  // namespace ashlar::lsm

#pragma once

/// The table for people, the JSON lines for programs.

#include <cstdio>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/block/measure.h"

namespace ashlar::bench::block {

/// What all rows of a run have in common.
struct RunFacts {
  std::string target;  ///< "/mnt/x (file, made for this), 1 GiB"
  Plan plan;
  Peers peers;
};

/// One line: `workload way engine spec`, the medians `iops mb_per_s p50_us p99_us p999_us cpu_us_per_io
/// kernel_poll_cpu_us_per_io syscalls_per_io instructions_per_io allocations_per_io`, `peer ratio iqr_low
/// iqr_high cpu_ratio`, `reference reference_source`, `error`, `notes`, `versions`, `configuration` and its
/// hash. What is not known is null.
std::string to_json(const Row& row, const RunFacts& facts);

/// A block of rows for each workload, with a line that shows what is being measured where `out` is a
/// terminal.
class BlockTable {
 public:
  explicit BlockTable(std::FILE* out);
  void begin(const RunFacts& facts, unsigned steps);
  /// `step` of the steps of the whole run.
  void progress(const Workload& workload, const Way& way, unsigned step);
  void add(const Workload& workload, std::span<const Row> rows);
  /// Notes, sources of the references, and the cost of an empty layer.
  void end(std::span<const std::vector<Row>> all);

 private:
  void clear_progress();
  void print_row(const Row& row, std::string_view reference);
  std::string reference_text(const Workload& workload, std::string_view way);

  std::FILE* out_;
  bool terminal_;
  unsigned steps_ = 0;
  double started_ = 0;
  std::vector<std::string> sources_;
};

}  // namespace ashlar::bench::block

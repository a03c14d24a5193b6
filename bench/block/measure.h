#pragma once

/// Measuring ways side by side.

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "bench/block/target.h"
#include "bench/block/watch.h"
#include "bench/block/way.h"
#include "bench/block/workload.h"
#include "bench/statistics.h"

namespace ashlar::bench::block {

struct Plan {
  double seconds = 2;  ///< of measuring, for each way and workload, in all rounds together
  unsigned rounds = 5;
  int core = 0;       ///< that measured programs are bound to
  int poll_core = 0;  ///< that kernel threads which poll for them are bound to
  bool count_system_calls = true;
};

/// One way under one workload, measured some times.
struct Row {
  const Workload* workload = nullptr;
  const Way* way = nullptr;
  std::vector<Figures> figures;                                    ///< by round
  std::vector<Usage> usage;                                        ///< the same
  std::string failed = {};                                         ///< why there are none, or not all
  double instructions = std::numeric_limits<double>::quiet_NaN();  ///< for each I/O
  const Row* peer = nullptr;  ///< the best of those that it is compared with; null where there are none

  bool measured() const noexcept { return failed.empty() && !figures.empty(); }
};

/// The column of a row: its value in each round.
using Column = std::function<double(const Figures&, const Usage&)>;
std::vector<double> column(const Row& row, const Column& value);
double median(const Row& row, const Column& value);

// Columns.
double iops(const Figures& figures, const Usage& usage);
double p50_us(const Figures& figures, const Usage& usage);
double p99_us(const Figures& figures, const Usage& usage);
double p999_us(const Figures& figures, const Usage& usage);
double cpu_us(const Figures& figures, const Usage& usage);          ///< for each I/O
double kernel_poll_us(const Figures& figures, const Usage& usage);  ///< the same
double system_calls(const Figures& figures, const Usage& usage);    ///< the same; NaN where not counted
double allocations_each(const Figures& figures, const Usage& usage);

/// The row against its peer, above 1 where it is better, round by round.
Quartiles ratio_to_peer(const Row& row, const Column& value, bool more_is_better);

/// Measures these ways under one workload: in each round, one after the other. A way that does not work is
/// asked once. `progress` is called before each measurement.
std::vector<Row> measure(const Workload& workload, const std::vector<const Way*>& ways, const Target& target,
                         const Peers& peers, const Plan& plan,
                         const std::function<void(const Way&, unsigned round)>& progress);

/// Sets `peer` of Ashlar's rows: the fastest peer of the same contest.
void find_best_peers(std::vector<Row>& rows);

/// Counts the instructions of each I/O in user space, by callgrind: two runs of different length, so that
/// neither's start counts. NaN where it does not work.
double count_instructions(const Way& way, const Workload& workload, const Target& target, const Peers& peers,
                          const Plan& plan);

}  // namespace ashlar::bench::block

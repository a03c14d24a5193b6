#pragma once

/// Rows of the report, as a table for people and as JSON lines for programs.

#include <cstdio>
#include <string>
#include <vector>

#include "bench/case.h"
#include "bench/statistics.h"

namespace ashlar::bench {

/// All measurements of one case, in the order taken.
struct Row {
  const Case* what = nullptr;
  std::vector<Sample> ashlar, peer;
  std::string peer_version;
  std::vector<std::pair<std::string, std::string>> configuration;
};

/// Medians of both sides and quartiles of the pairs' ratios; `known` where both sides were measured.
struct Comparison {
  Quartiles ashlar, peer, ratio;
  bool known = false;
  bool measured = false;
};

/// One line: `case ashlar peer peer_name unit ratio iqr_low iqr_high` and, where a server did the work,
/// `ashlar_cpu_us peer_cpu_us cpu_ratio`; where it was counted, `ashlar_columns peer_columns` by name and
/// `ashlar_series peer_series` over time; `target`, `met`, `versions`, `configuration`, `configuration_hash`.
/// What is not known is null.
std::string to_json(const Row& row);

/// A table that shows how far the case under way is, where `out` is a terminal.
class Table {
 public:
  Table(std::FILE* out, const std::vector<const Case*>& cases);
  void progress(const Case& running, unsigned pair, unsigned pairs);
  void add(const Row& row);
  void add_failure(const Case& failed, const std::string& why);

 private:
  void clear_progress();
  void print_column(const Row& row, const std::string& name);
  void print_line(const std::string& name, const Comparison& figures, const std::string& unit,
                  const std::string& target, const std::string& remarks);

  std::FILE* out_;
  bool terminal_;
  int name_width_;
};

}  // namespace ashlar::bench

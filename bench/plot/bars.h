#pragma once

/// Bars of two sides, case by case, as SVG.

#include <string>
#include <vector>

namespace ashlar::bench::plot {

struct Bar {
  double value = 0, low = 0, high = 0;  ///< median and quartiles; value 0: not measured
};

struct BarRow {
  std::string name, unit, peer_name;
  Bar ours, peer;
  Bar ratio = {};  ///< above 1: better than the peer; value 0: none
  double target = 0;
};

/// Each row has a scale of its own: rows differ by orders of magnitude.
std::string render_bars(const std::string& title, const std::string& subtitle,
                        const std::vector<BarRow>& rows);

}  // namespace ashlar::bench::plot

#pragma once

/// A chart of latency against IOPS, as SVG: a line for each way over the queue depths.

#include <string>
#include <vector>

namespace ashlar::bench::block {

struct ChartPoint {
  double iops = 0, latency_us = 0;
  std::string label;  ///< the queue depth
};

struct ChartLine {
  std::string name;
  bool dashed = false;  ///< a peer's
  std::vector<ChartPoint> points;
};

/// Both axes are logarithmic and end at round numbers. Points without a positive finite place are left out.
std::string render_chart(const std::string& title, const std::string& subtitle, std::vector<ChartLine> lines);

}  // namespace ashlar::bench::block

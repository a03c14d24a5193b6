#pragma once

/// Throughput and longest waits over time, two sides, as SVG.

#include <string>
#include <vector>

namespace ashlar::bench::plot {

struct Moment {
  double seconds = 0, rate = 0, longest_ms = 0;
};

/// Throughput above, on a linear scale from 0; the longest wait of each stretch below, on a logarithmic one.
std::string render_timeline(const std::string& title, const std::string& subtitle,
                            const std::vector<Moment>& ours, const std::vector<Moment>& peer,
                            const std::string& peer_name);

}  // namespace ashlar::bench::plot

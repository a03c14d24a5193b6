#include "bench/plot/timeline.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "bench/plot/svg.h"

namespace ashlar::bench::plot {

namespace {

constexpr double width = 1040, height = 560, left = 90, right = 1010;
constexpr double wait_ms_least = 0.01;

struct Panel {
  double top, bottom;
};
constexpr Panel upper{80, 290}, lower{340, 500};

/// The next of 1, 2, 5 × 10^n.
double round_up(double value) {
  const double decade = std::pow(10, std::floor(std::log10(std::max(value, 1e-9))));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (decade * step >= value) return decade * step;
  }
  return decade * 10;
}

using Place = std::function<double(double)>;

std::string line(const std::vector<Moment>& moments, double Moment::* field, const Place& x, const Place& y,
                 const char* colour) {
  if (moments.empty()) return "";
  std::string path;
  for (const Moment& each : moments)
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(each.seconds), y(each.*field));
  return fmt::format("<path fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" d=\"{}\"/>\n", colour, path);
}

std::string grid_line(double y, const std::string& label) {
  return fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>\n", left, y, right) +
         svg::text(left - 8, y + 4, "text-anchor=\"end\" class=\"small\"", label);
}

double most(const std::vector<Moment>& ours, const std::vector<Moment>& peer, double Moment::* field) {
  double found = 0;
  for (const auto* side : {&ours, &peer}) {
    for (const Moment& each : *side) found = std::max(found, each.*field);
  }
  return found;
}

}  // namespace

std::string render_timeline(const std::string& title, const std::string& subtitle,
                            const std::vector<Moment>& ours, const std::vector<Moment>& peer,
                            const std::string& peer_name) {
  const double seconds = std::max(most(ours, peer, &Moment::seconds), 1e-3);
  const double rate = round_up(most(ours, peer, &Moment::rate));
  const double wait_ms = round_up(std::max(most(ours, peer, &Moment::longest_ms), wait_ms_least * 10));
  const Place x = [&](double at) { return left + (right - left) * at / seconds; };
  const Place rate_y = [&](double value) { return upper.bottom - (upper.bottom - upper.top) * value / rate; };
  const Place wait_y = [&](double ms) {
    const double share =
        std::log(std::max(ms, wait_ms_least) / wait_ms_least) / std::log(wait_ms / wait_ms_least);
    return lower.bottom - (lower.bottom - lower.top) * share;
  };

  std::string picture =
      svg::begin(width, height, title, fmt::format("{}; blue: Ashlar, red: {}", subtitle, peer_name), 18);
  picture += svg::text(left, upper.top - 10, "class=\"small\"", "operations per second");
  for (int step = 0; step <= 4; ++step)
    picture += grid_line(rate_y(rate * step / 4), svg::count_label(rate * step / 4));
  picture += svg::text(left, lower.top - 10, "class=\"small\"", "longest wait of each stretch");
  for (double ms = wait_ms_least; ms <= wait_ms * 1.001; ms *= 10)
    picture += grid_line(wait_y(ms), ms < 1 ? fmt::format("{:g} µs", ms * 1e3) : fmt::format("{:g} ms", ms));
  for (int step = 0; step <= 5; ++step) {
    const double at = seconds * step / 5;
    picture += svg::text(x(at), lower.bottom + 20, "text-anchor=\"middle\" class=\"small\"",
                         fmt::format("{:.4g} s", at));
  }
  picture += line(peer, &Moment::rate, x, rate_y, svg::colours[1]) +
             line(ours, &Moment::rate, x, rate_y, svg::colours[0]);
  picture += line(peer, &Moment::longest_ms, x, wait_y, svg::colours[1]) +
             line(ours, &Moment::longest_ms, x, wait_y, svg::colours[0]);
  return picture + svg::end();
}

}  // namespace ashlar::bench::plot

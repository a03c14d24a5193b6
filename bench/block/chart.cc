// 1. The axes span the points, out to the next of 1, 2, 5 × 10^n. 2. Grid and axis labels at those. 3. Each
// line in a colour of its own, peers dashed with hollow points; queue depths stand at the points of the first
// line. 4. The legend, in the order of the lines, beside the plot.

#include "bench/block/chart.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "bench/plot/svg.h"

namespace ashlar::bench::block {

namespace {

using svg::text;

constexpr double width = 1120, height = 620;
constexpr double left = 78, right = 790, top = 74, bottom = 556;

struct Axis {
  double low = 1, high = 10;  ///< values
  double from = 0, to = 1;    ///< where they stand

  double place(double value) const {
    return from + (to - from) * std::log(value / low) / std::log(high / low);
  }
};

/// 1, 2, 5, 10, 20, … from the first not below a tenth of `low`.
std::vector<double> round_numbers(double low, double high) {
  std::vector<double> numbers;
  for (double decade = std::pow(10, std::floor(std::log10(low)) - 1); decade <= high * 10; decade *= 10) {
    for (const double step : {1.0, 2.0, 5.0}) numbers.push_back(decade * step);
  }
  return numbers;
}

Axis axis_over(double low, double high, double from, double to) {
  Axis axis{.from = from, .to = to};
  const auto numbers = round_numbers(low, high);
  axis.low = *std::prev(std::ranges::upper_bound(numbers, low * 0.96));
  axis.high = *std::ranges::lower_bound(numbers, high * 1.04);
  return axis;
}

std::vector<double> ticks(const Axis& axis) {
  auto numbers = round_numbers(axis.low, axis.high);
  std::erase_if(numbers, [&](double each) { return each < axis.low * 0.999 || each > axis.high * 1.001; });
  return numbers;
}

std::string time_label(double us) {
  if (us >= 1e3) return fmt::format("{:g} ms", us / 1e3);
  return us >= 1 ? fmt::format("{:g} µs", us) : fmt::format("{:g} ns", us * 1e3);
}

std::string grid(const Axis& x, const Axis& y) {
  std::string drawn;
  for (const double each : ticks(x)) {
    drawn += fmt::format("<path class=\"grid\" d=\"M{0:.1f} {1}V{2}\"/>\n", x.place(each), top, bottom);
    drawn += text(x.place(each), bottom + 20, "text-anchor=\"middle\"", svg::count_label(each));
  }
  for (const double each : ticks(y)) {
    drawn += fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>\n", left, y.place(each), right);
    drawn += text(left - 8, y.place(each) + 4, "text-anchor=\"end\"", time_label(each));
  }
  drawn += text((left + right) / 2, bottom + 46, "text-anchor=\"middle\"", "I/Os per second");
  drawn += text(left - 60, top - 14, "", "latency, p50");
  return drawn;
}

std::string mark(double x, double y, const char* colour, bool hollow) {
  return fmt::format(
      "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\" stroke=\"{}\" stroke-width=\"2\"/>\n", x, y,
      hollow ? "#fff" : colour, colour);
}

std::string draw(const ChartLine& line, const char* colour, const Axis& x, const Axis& y, double legend_y) {
  const char* const dash = line.dashed ? " stroke-dasharray=\"6 4\"" : "";
  std::string path, marks, labels;
  for (const ChartPoint& point : line.points) {
    const double px = x.place(point.iops), py = y.place(point.latency_us);
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", px, py);
    marks += mark(px, py, colour, line.dashed);
    if (!point.label.empty())
      labels += text(px - 8, py - 9, "text-anchor=\"end\" class=\"small\"", point.label);
  }
  std::string drawn =
      fmt::format("<path fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{} d=\"{}\"/>\n", colour, dash, path);
  drawn += fmt::format("<path stroke=\"{}\" stroke-width=\"2\"{} d=\"M{} {}h34\"/>\n", colour, dash,
                       right + 26, legend_y);
  return drawn + marks + mark(right + 43, legend_y, colour, line.dashed) + labels +
         text(right + 70, legend_y + 5, "", line.name);
}

bool drawable(const ChartPoint& point) {
  return std::isfinite(point.iops) && std::isfinite(point.latency_us) && point.iops > 0 &&
         point.latency_us > 0;
}

}  // namespace

std::string render_chart(const std::string& title, const std::string& subtitle,
                         std::vector<ChartLine> lines) {
  double iops_low = 1e18, iops_high = 0, us_low = 1e18, us_high = 0;
  for (ChartLine& line : lines) {
    std::erase_if(line.points, [](const ChartPoint& point) { return !drawable(point); });
    for (const ChartPoint& point : line.points) {
      iops_low = std::min(iops_low, point.iops);
      iops_high = std::max(iops_high, point.iops);
      us_low = std::min(us_low, point.latency_us);
      us_high = std::max(us_high, point.latency_us);
    }
  }
  std::erase_if(lines, [](const ChartLine& line) { return line.points.empty(); });
  if (lines.empty()) iops_low = us_low = 1, iops_high = us_high = 10;

  const Axis x = axis_over(iops_low, iops_high, left, right);
  const Axis y = axis_over(us_low, us_high, bottom, top);
  std::string picture = svg::begin(width, height, title, subtitle, left - 60);
  picture += grid(x, y);
  double legend_y = top + 8;
  for (std::size_t i = 0; i < lines.size(); ++i, legend_y += 24)
    picture += draw(lines[i], svg::colours[i % svg::colours.size()], x, y, legend_y);
  return picture + svg::end();
}

}  // namespace ashlar::bench::block

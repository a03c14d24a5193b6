#include "bench/plot/bars.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "bench/plot/svg.h"

namespace ashlar::bench::plot {

namespace {

constexpr double width = 1040, top = 72, row_height = 46, bar_height = 14;
constexpr double left = 210, right = 720, figure_x = 730, ratio_x = 880;

std::string short_figure(double value) {
  if (value >= 1e6) return fmt::format("{:.3g} M", value / 1e6);
  if (value >= 1e4) return fmt::format("{:.3g} K", value / 1e3);
  return fmt::format("{:.3g}", value);
}

std::string draw_bar(const Bar& bar, double most, double y, const char* colour) {
  if (bar.value <= 0) return svg::text(left + 4, y + bar_height - 3, "class=\"small\"", "not measured");
  const auto place = [&](double value) { return left + (right - left) * value / most; };
  const double middle = y + bar_height / 2;
  return fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\"/>\n"
      "<path stroke=\"#222\" stroke-width=\"1.5\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>\n",
      left, y, place(bar.value) - left, bar_height, colour, place(bar.low), middle, place(bar.high));
}

std::string draw_row(const BarRow& row, double y) {
  const double most = std::max({row.ours.high, row.ours.value, row.peer.high, row.peer.value}) * 1.02;
  std::string drawn = svg::text(left - 10, y + bar_height + 4, "text-anchor=\"end\"", row.name);
  drawn += draw_bar(row.ours, most, y, svg::colours[0]);
  drawn += draw_bar(row.peer, most, y + bar_height + 3, svg::colours[1]);
  drawn += svg::text(figure_x, y + bar_height - 3, "class=\"small\"",
                     fmt::format("{} {}", short_figure(row.ours.value), row.unit));
  if (row.peer.value > 0) {
    drawn += svg::text(figure_x, y + 2 * bar_height, "class=\"small\"",
                       fmt::format("{} {}, {}", short_figure(row.peer.value), row.unit, row.peer_name));
  }
  if (row.ratio.value > 0) {
    drawn += svg::text(ratio_x, y + bar_height - 2, "font-weight=\"bold\"",
                       fmt::format("{:.2f} ×", row.ratio.value));
    std::string detail = fmt::format("{:.2f} to {:.2f}", row.ratio.low, row.ratio.high);
    if (row.target > 0) detail += fmt::format(", target {:g}", row.target);
    drawn += svg::text(ratio_x, y + 2 * bar_height, "class=\"small\"", detail);
  }
  return drawn;
}

}  // namespace

std::string render_bars(const std::string& title, const std::string& subtitle,
                        const std::vector<BarRow>& rows) {
  const double height = top + row_height * static_cast<double>(rows.size()) + 16;
  std::string picture =
      svg::begin(width, height, title, subtitle + "; blue: Ashlar, red: the peer; lines: quartiles", 18);
  for (std::size_t i = 0; i < rows.size(); ++i)
    picture += draw_row(rows[i], top + row_height * static_cast<double>(i));
  return picture + svg::end();
}

}  // namespace ashlar::bench::plot

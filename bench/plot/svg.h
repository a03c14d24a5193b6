#pragma once

/// The pieces of which the charts are made, as SVG text.

#include <array>
#include <string>

namespace ashlar::bench::svg {

// Dark enough for a white ground, and apart from each other also for eyes that confuse red and green.
inline constexpr std::array colours = {"#0b5fa5", "#d1495b", "#2e8b57", "#8e44ad", "#e08e0b", "#00838f",
                                       "#6d4c41", "#c2185b", "#5c6bc0", "#7a8b00", "#37474f", "#b5651d"};

/// Up to where the drawing starts: ground, fonts, and the classes `grid` and `small`.
std::string begin(double width, double height, const std::string& title, const std::string& subtitle,
                  double left);
inline std::string end() {
  return "</svg>\n";
}

std::string text(double x, double y, const std::string& attributes, const std::string& words);
std::string escaped(const std::string& words);

/// "1.2 M", "340 K", "12".
std::string count_label(double value);

}  // namespace ashlar::bench::svg

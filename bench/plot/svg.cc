#include "bench/plot/svg.h"

#include <fmt/format.h>

namespace ashlar::bench::svg {

std::string escaped(const std::string& words) {
  std::string result;
  for (const char each : words) {
    if (each == '&')
      result += "&amp;";
    else if (each == '<')
      result += "&lt;";
    else if (each == '>')
      result += "&gt;";
    else
      result += each;
  }
  return result;
}

std::string text(double x, double y, const std::string& attributes, const std::string& words) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes, escaped(words));
}

std::string begin(double width, double height, const std::string& title, const std::string& subtitle,
                  double left) {
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"Helvetica,Arial,sans-serif\" font-size=\"13\" fill=\"#222\">\n"
      "<style>.grid{{stroke:#e3e6ea;stroke-width:1;fill:none}}.small{{font-size:11px;fill:#555}}</style>\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
      width, height);
  svg += text(left, 26, "font-size=\"18\" font-weight=\"bold\"", title);
  return svg + text(left, 46, "class=\"small\"", subtitle);
}

std::string count_label(double value) {
  if (value >= 1e6) return fmt::format("{:g} M", value / 1e6);
  return value >= 1e3 ? fmt::format("{:g} K", value / 1e3) : fmt::format("{:g}", value);
}

}  // namespace ashlar::bench::svg

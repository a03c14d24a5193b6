#include "ashlar/app/config_file.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace ashlar::app {
namespace {

std::unexpected<std::string> error_at(const std::string& file, const toml::source_region& at,
                                      std::string_view what) {
  return std::unexpected(fmt::format("{}:{}: {}", file, at.begin.line, what));
}

/// A value as the user would write it in a flag.
std::optional<std::string> text_of(const toml::node& node) {
  if (auto text = node.value_exact<std::string>()) return text;
  if (const auto number = node.value_exact<std::int64_t>()) return fmt::to_string(*number);
  if (const auto flag = node.value_exact<bool>()) return std::string(*flag ? "true" : "false");
  return std::nullopt;
}

OptionResult set_one(const std::string& option, const toml::node& node, const std::string& file,
                     OptionSet& set) {
  const std::optional<std::string> text = text_of(node);
  if (!text)
    return error_at(file, node.source(), fmt::format("{}: not a string, whole number or boolean", option));
  if (const OptionResult result = set.set(option, *text); !result)
    return error_at(file, node.source(), result.error());
  return {};
}

}  // namespace

OptionResult read_config(std::string_view text, const std::string& name, OptionSet& set) {
  const toml::parse_result parsed = toml::parse(text, name);
  if (!parsed) return error_at(name, parsed.error().source(), parsed.error().description());
  for (const auto& [key, node] : parsed.table()) {
    const std::string outer(key.str());
    if (const toml::table* const table = node.as_table()) {
      for (const auto& [inner, value] : *table)
        if (const OptionResult result = set_one(fmt::format("{}.{}", outer, inner.str()), value, name, set);
            !result)
          return result;
    } else if (const OptionResult result = set_one(outer, node, name, set); !result) {
      return result;
    }
  }
  return {};
}

OptionResult read_config_file(const std::string& path, OptionSet& set) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) return std::unexpected(fmt::format("{}: cannot be read", path));
  return read_config(text, path, set);
}

}  // namespace ashlar::app

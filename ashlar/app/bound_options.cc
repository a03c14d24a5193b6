#include "ashlar/app/bound_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "ashlar/app/config_file.h"

namespace ashlar::app {
namespace {

std::string help_of(const Option& option) {
  std::string text(option.help());
  if (const std::string bounds = option.bounds(); !bounds.empty()) text += fmt::format(" ({})", bounds);
  if (!option.default_value().empty()) text += fmt::format(" [{}]", option.default_value());
  return text;
}

}  // namespace

void bind(CLI::App& command, OptionSet& set, Given& given, std::initializer_list<std::string_view> used) {
  command.add_option("--config", given.config_file, "Configuration file; its keys: `ashlar options`")
      ->type_name("FILE.toml")
      ->envname("ASHLAR_CONFIG");
  for (Option& option : set) {
    const std::string_view name = option.name();
    const std::size_t dot = name.find('.');
    const std::string_view table = dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
    const auto uses = [used](std::string_view what) {
      return std::find(used.begin(), used.end(), what) != used.end();
    };
    if (used.size() != 0 && !uses(table) && !uses(name)) continue;
    Flag& flag = given.flags.emplace_back(&option);
    flag.bound =
        option.kind() == Option::Kind::flag
            ? command.add_flag(option.flag(), flag.text, help_of(option))
            : command.add_option(option.flag(), flag.text, help_of(option))->type_name(option.form());
    if (!table.empty()) flag.bound->group(fmt::format("[{}]", table));
  }
}

OptionResult apply(const Given& given, OptionSet& set) {
  if (!given.config_file.empty())
    if (OptionResult result = read_config_file(given.config_file, set); !result) return result;
  if (OptionResult result = set.set_from_environment(std::getenv); !result) return result;
  for (const Flag& flag : given.flags)
    if (flag.bound->count() != 0)
      if (OptionResult result = flag.option->set(flag.text); !result) return result;
  return {};
}

}  // namespace ashlar::app

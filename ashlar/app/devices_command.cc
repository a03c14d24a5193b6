#include "ashlar/app/devices_command.h"

#include <fmt/format.h>

namespace ashlar::app {
namespace {

constexpr const char* introduction = R"(# Kinds of device

What `ashlar devices` prints. A device is named by a spec string, wherever Ashlar takes one:

```
 kind:TARGET?option=value&flag          a transport, which reaches something real
 kind(DEVICE,DEVICE)?option=value       a layer, made of devices
```

A target that contains `,`, `)` or `?` is written in double quotes. [devices.md](devices.md) says how to write a kind.
)";

/// In a cell of a table.
std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, 1, '\\');
  return text;
}

std::string form_of(const DeviceKind& kind) {
  if (kind.children_max == 0) return fmt::format("{}:{}", kind.name, kind.target);
  std::string devices = "DEV";
  for (unsigned i = 1; i < kind.children_min; ++i) devices += ",DEV";
  if (kind.children_max > kind.children_min) devices += ",…";
  return fmt::format("{}({})", kind.name, devices);
}

std::string options_table(OptionSet& options) {
  std::string table = "\n| option | default | values | meaning |\n|---|---|---|---|\n";
  for (const Option& option : options) {
    std::string values = option.form();
    if (const std::string bounds = option.bounds(); !bounds.empty()) values += ", " + bounds;
    const std::string& unset = option.default_value();
    table += fmt::format("| `{}` | {} | {} | {} |\n", option.name(),
                         unset.empty() ? "" : fmt::format("`{}`", unset), cell(std::move(values)),
                         cell(std::string(option.help())));
  }
  return table;
}

std::string section(const char* title, const Registry& registry, bool layers) {
  std::string text = fmt::format("\n## {}\n", title);
  for (const DeviceKind& kind : registry.kinds()) {
    if ((kind.children_max != 0) != layers) continue;
    text += fmt::format("\n### `{}`\n\n{}\n", form_of(kind), kind.help);
    OptionSet options;
    const auto bound_to = kind.describe(options);
    if (options.size() != 0) text += options_table(options);
  }
  return text;
}

}  // namespace

std::string devices_reference(const Registry& registry) {
  return introduction + section("Transports", registry, false) + section("Layers", registry, true);
}

}  // namespace ashlar::app

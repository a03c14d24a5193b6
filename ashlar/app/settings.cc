#include "ashlar/app/settings.h"

#include <fmt/format.h>

namespace ashlar::app {

Settings::Settings() {
  set.add("data", data.location, {.form = "dir:PATH", .help = "Where the data lives"});
  describe(set, logging);
  describe(set, resp);
  describe(set, runtime);
  describe(set, engine);
  describe(set, engine.log);
  describe(set, engine.directory);
}

std::string Settings::reference() const {
  return "# Options\n\n"
         "Each option can be given in a TOML file (`--config FILE.toml` or `ASHLAR_CONFIG`), in the "
         "environment and as a\n"
         "flag; the later of these wins. The variable is the flag in capitals: `--log-segment-bytes` is\n"
         "`ASHLAR_LOG_SEGMENT_BYTES`. Sizes are whole numbers with B, KiB, MiB, GiB or TiB, durations with "
         "ns, us, ms, s,\n"
         "min, h or d. This page is the output of `ashlar options`. Options marked live can be changed while "
         "the server runs.\n" +
         set.markdown();
}

std::expected<std::string, std::string> directory_of(const DataOptions& data) {
  constexpr std::string_view scheme = "dir:";
  if (!data.location.starts_with(scheme) || data.location.size() == scheme.size())
    return std::unexpected(fmt::format("data: '{}' is not dir:PATH", data.location));
  return data.location.substr(scheme.size());
}

}  // namespace ashlar::app

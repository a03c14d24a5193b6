#include "ashlar/app/settings.h"

namespace ashlar::app {

Settings::Settings() {
  set.add("data", data.location,
          {.form = "dir:PATH|blob(DEVICE)",
           .help = "Where the data lives: a directory, or a device that `ashlar format` made ready"});
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

}  // namespace ashlar::app

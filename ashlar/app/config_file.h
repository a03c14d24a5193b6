#pragma once

/// The configuration file: TOML, with one table for each table of options.
///
///   data = "dir:/var/lib/ashlar"
///   [log]
///   segment-bytes = "64MiB"

#include <string>

#include "ashlar/base/options.h"

namespace ashlar::app {

/// Sets what the file says; a key that no module declares is an error. The error is one line with file and
/// line number.
OptionResult read_config_file(const std::string& path, OptionSet& set);

/// The same from memory; `name` stands for the path in errors.
OptionResult read_config(std::string_view text, const std::string& name, OptionSet& set);

}  // namespace ashlar::app

#pragma once

/// The commands `ashlar kv …` and their arguments.

#include "ashlar/app/bound_options.h"
#include "ashlar/app/command_line.h"

namespace ashlar::app {

/// `line`, `given` and `set` outlive the parsing.
void declare_kv(CLI::App& app, CommandLine& line, Given& given, OptionSet& set);

}  // namespace ashlar::app

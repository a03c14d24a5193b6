#pragma once

/// `ashlar kv`: get, put, del, scan and stats on a data directory that no server holds.

#include "ashlar/app/command_line.h"
#include "ashlar/app/settings.h"

namespace ashlar::app {

/// Opens the data set, which must exist, does what the command says, and closes it. Returns the exit status:
/// 1 where a key is absent (kv get), or after one line on stderr.
int run_kv(const CommandLine& line, const Settings& settings);

}  // namespace ashlar::app

#pragma once

/// `ashlar serve`: the store of a data directory and its servers, from start to a clean end.

#include <string>

#include "ashlar/app/data_home.h"

namespace ashlar::app {

/// Serves until SIGTERM or SIGINT, then drains and closes; a second signal ends the process at once. Returns
/// the exit status: 0 after a clean end, 1 after one line on stderr, 2 where an address is malformed.
int run_serve(const Settings& settings, const DataLocation& location);

}  // namespace ashlar::app

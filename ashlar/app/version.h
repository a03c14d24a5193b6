#pragma once

/// What this program is: version, and what it was built with.

#include <string>

namespace ashlar::app {

std::string version_line();     ///< "ashlar 0.1.0"
std::string version_details();  ///< several lines: compiler, libraries, build kind

}  // namespace ashlar::app

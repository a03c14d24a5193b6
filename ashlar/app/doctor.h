#pragma once

/// `ashlar doctor`: what this machine offers to Ashlar, one line each, and what would make it better.

#include <string>
#include <vector>

namespace ashlar::app {

struct Finding {
  enum class State { works, limited, missing };

  const char* subject;  ///< "io_uring"
  State state;
  std::string detail;  ///< what was found
  std::string remedy;  ///< "would work if …"; empty where it works
};

/// Looks at kernel, limits, processors, memory, and the file system of `directory` (or of its nearest
/// existing parent). Leaves nothing behind.
std::vector<Finding> examine(const std::string& directory);

/// One line per finding; false where one of them is missing, so that `ashlar serve` would not start.
bool print(const std::vector<Finding>& findings);

}  // namespace ashlar::app

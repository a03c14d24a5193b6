#pragma once

/// `ashlar kv dump`: prints what a root record, manifest, log or table holds. docs/tools.md.

#include <cstdint>
#include <string>

#include "ashlar/app/settings.h"

namespace ashlar::app {

struct DumpArguments {
  std::string data;
  std::string part;         ///< root, manifest, log or table
  std::uint64_t table = 0;  ///< its number
  std::uint32_t partition = 0;
  std::uint64_t limit = 0;  ///< records or entries; 0: all
  bool json = false;        ///< an object a line
};

/// Returns the exit status: 0; exit_damaged after what could be read, with one line that says what could not;
/// 1 after one line on stderr.
int dump_data(const DumpArguments& arguments, const Settings& settings);

}  // namespace ashlar::app

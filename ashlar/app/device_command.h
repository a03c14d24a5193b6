#pragma once

/// `ashlar check` and `ashlar inspect`: a device of blobs, or a data set. docs/tools.md.

#include <string>

#include "ashlar/app/settings.h"

namespace ashlar::app {

struct DeviceArguments {
  std::string target;     ///< dir:PATH, blob(DEVICE) or a device's spec
  bool metadata = false;  ///< check: leave the contents of the data set out
  bool blobs = false;     ///< inspect: list every blob
  bool json = false;
};

/// Checks a device's superblocks, lease table, metadata and allocation, then the data set on it, or that in a
/// directory. Returns the exit status: 0, exit_damaged, or 1 after one line on stderr.
int check_target(const DeviceArguments& arguments, const Settings& settings);
/// Prints the layout of a device, its volumes and free space, or the blobs of a directory.
int inspect_target(const DeviceArguments& arguments, const Settings& settings);

}  // namespace ashlar::app

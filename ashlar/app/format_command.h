#pragma once

/// `ashlar format`: makes a device ready for blobs (docs/formats/blob-device.md).

#include <cstdint>
#include <string>

#include "ashlar/runtime/shard/runtime.h"

namespace ashlar::app {

struct FormatArguments {
  std::string device;  ///< a spec
  std::string chunk;   ///< a size; empty: what suits the device
  bool overwrite = false;
};

/// Returns the exit status, after one line on stderr where something failed.
int format(const FormatArguments& arguments, RuntimeOptions runtime);

}  // namespace ashlar::app

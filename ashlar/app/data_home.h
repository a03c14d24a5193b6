#pragma once

/// Where `--data` is: a directory or a formatted device.

#include "ashlar/app/settings.h"
#include "ashlar/embed/location.h"

namespace ashlar::app {

using ashlar::DataLocation;

inline auto location_of(const DataOptions& data) {
  return DataLocation::parse(data.location);
}

/// On the shard that is to open the store. The error is one line; a wrong spec is shown with its place.
inline auto open_home(DataLocation location, const lsm::LsmOptions& engine) {
  return ashlar::open_home(std::move(location), engine.directory);
}

}  // namespace ashlar::app

#pragma once

/// `ashlar devices`: the reference of all kinds of device and their options (docs/device-kinds.md).

#include <string>

#include "ashlar/block/registry.h"

namespace ashlar::app {

/// As Markdown, from what the kinds declare of themselves.
std::string devices_reference(const Registry& registry);

}  // namespace ashlar::app

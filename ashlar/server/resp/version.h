#pragma once

namespace ashlar::resp {

/// The Redis whose commands and texts are spoken here: what clients decide by.
constexpr const char* redis_version = "7.0.15";

}  // namespace ashlar::resp

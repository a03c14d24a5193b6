#pragma once

/// JSON as commands print it. For sources only: nlohmann's header is large.

#include <string>

#include <nlohmann/json.hpp>

#include "ashlar/base/error.h"

namespace ashlar::app {

/// Indented, with a line end. A path may hold any bytes: what is no UTF-8 is replaced.
inline std::string json_text(const nlohmann::json& value) {
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

inline nlohmann::json error_json(const Error& error) {
  return {{"code", to_string(error.code)},
          {"message", error.to_string()},
          {"object", error.object},
          {"offset", error.offset}};
}

}  // namespace ashlar::app

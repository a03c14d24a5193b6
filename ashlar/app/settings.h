#pragma once

/// Every option of the program, gathered from the modules that declare them.

#include <string>

#include "ashlar/base/log.h"
#include "ashlar/base/options.h"
#include "ashlar/kv/lsm/options.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/server/resp/resp_options.h"

namespace ashlar::app {

/// Where the data lives. Owned by the program, because every command needs it.
struct DataOptions {
  std::string location = "dir:./data";
};

/// The options structs of all modules, and the set that binds them to the command line, the environment and
/// the configuration file. Lives in main(), for as long as the program; does not move.
struct Settings {
  Settings();

  /// docs/options.md: how options are given, and all of them.
  std::string reference() const;

  DataOptions data;
  resp::RespOptions resp;
  RuntimeOptions runtime;
  lsm::LsmOptions engine;
  log::LogOptions logging;

  OptionSet set;
};

}  // namespace ashlar::app

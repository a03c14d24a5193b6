#pragma once

/// What opening a database needs, and nothing after it.

#include <expected>
#include <optional>
#include <string>

#include "ashlar/embed/location.h"
#include "ashlar/embed/options.h"
#include "ashlar/kv/lsm/options.h"
#include "ashlar/kv/partitioner.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar::embed {

struct OpenSettings {
  DataLocation location;
  lsm::LsmOptions engine;
  RuntimeOptions runtime;
  std::optional<kv::Partitioner> partitioner;  ///< of a new database
  std::string message;                         ///< of what failed

  /// One line for what is wrong with the options.
  std::expected<void, std::string> read(const std::string& where, const DbOptions& options);
  /// `not_found` where it is not, and is not to be made.
  Result<> check_there(const DbOptions& options);
  /// Registers the program's merge operators, and has the engine use them: `exists`, with a message.
  Result<> add_operators(kv::MergeOperators& operators, const DbOptions& options);
  /// One line for an error of opening.
  std::string describe(const Error& error) const;
};

/// "dir:PATH", "blob(DEVICE)", or just the path of a directory.
std::expected<DataLocation, std::string> location_of(const std::string& where);

}  // namespace ashlar::embed

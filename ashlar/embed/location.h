#pragma once

/// Where a store's data is: a directory or a formatted device.

#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "ashlar/blob/home.h"

namespace ashlar {

struct DataLocation {
  std::string directory;  ///< of dir:PATH
  std::string device;     ///< the spec of blob(DEVICE)
  bool on_device() const noexcept { return !device.empty(); }
  const std::string& name() const noexcept { return on_device() ? device : directory; }

  /// "dir:PATH" or "blob(DEVICE)". One line says what is wrong with anything else.
  static std::expected<DataLocation, std::string> parse(std::string_view text);
};

/// On the shard that is to open the store. The error is one line; a wrong spec is shown with its place.
Task<std::expected<std::unique_ptr<blob::Home>, std::string>> open_home(DataLocation location,
                                                                        blob::DirectoryOptions options);

}  // namespace ashlar

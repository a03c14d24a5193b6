#include "ashlar/app/data_home.h"

#include <fmt/format.h>

#include "ashlar/blob/device/device_home.h"
#include "ashlar/device/standard_registry.h"

namespace ashlar::app {

std::expected<DataLocation, std::string> location_of(const DataOptions& data) {
  constexpr std::string_view directory = "dir:", device = "blob(";
  const std::string& text = data.location;
  if (text.starts_with(directory) && text.size() > directory.size())
    return DataLocation{.directory = text.substr(directory.size()), .device = {}};
  if (text.starts_with(device) && text.ends_with(')') && text.size() > device.size() + 1)
    return DataLocation{.directory = {},
                        .device = text.substr(device.size(), text.size() - device.size() - 1)};
  return std::unexpected(fmt::format("data: '{}' is neither dir:PATH nor blob(DEVICE)", text));
}

Task<std::expected<std::unique_ptr<blob::Home>, std::string>> open_home(DataLocation location,
                                                                        const lsm::LsmOptions& engine) {
  if (!location.on_device()) co_return blob::directory_home(location.directory, engine.directory);
  auto device = co_await standard_registry().open(location.device);
  if (!device) co_return std::unexpected(device.error().show(location.device));
  for (const std::string& note : (*device)->notes()) log::warn("{}: {}", location.device, note);
  co_return blob::device_home(*std::move(device), engine.directory.reserve_bytes);
}

}  // namespace ashlar::app

#include "ashlar/embed/location.h"

#include <fmt/format.h>

#include "ashlar/base/log.h"
#include "ashlar/blob/device/device_home.h"
#include "ashlar/device/standard_registry.h"

namespace ashlar {

std::expected<DataLocation, std::string> DataLocation::parse(std::string_view text) {
  constexpr std::string_view directory_prefix = "dir:", device_prefix = "blob(";
  if (text.starts_with(directory_prefix) && text.size() > directory_prefix.size())
    return DataLocation{.directory = std::string(text.substr(directory_prefix.size())), .device = {}};
  if (text.starts_with(device_prefix) && text.ends_with(')') && text.size() > device_prefix.size() + 1) {
    text.remove_prefix(device_prefix.size());
    text.remove_suffix(1);
    return DataLocation{.directory = {}, .device = std::string(text)};
  }
  return std::unexpected(fmt::format("data: '{}' is neither dir:PATH nor blob(DEVICE)", text));
}

Task<std::expected<std::unique_ptr<blob::Home>, std::string>> open_home(DataLocation location,
                                                                        blob::DirectoryOptions options) {
  if (!location.on_device()) co_return blob::directory_home(location.directory, options);
  auto device = co_await standard_registry().open(location.device);
  if (!device) co_return std::unexpected(device.error().show(location.device));
  for (const std::string& note : (*device)->notes()) log::warn("{}: {}", location.device, note);
  co_return blob::device_home(*std::move(device), options.reserve_bytes);
}

}  // namespace ashlar

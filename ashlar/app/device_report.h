#pragma once

/// What there is to say of a device of blobs, and of the blob stores of a data set.

#include <string>
#include <vector>

#include "ashlar/app/json.h"
#include "ashlar/blob/device/device_check.h"
#include "ashlar/kv/root_record.h"

namespace ashlar::app {

/// One line for each damage.
std::string damages_text(const blob::DeviceReport& report);
Json damages_json(const blob::DeviceReport& report);

/// Superblock, geometry, volumes, space; `blobs`: every blob with its extents.
std::string inspect_text(const std::string& name, const blob::DeviceReport& report, bool blobs);
Json inspect_json(const std::string& name, const blob::DeviceReport& report, bool blobs);

/// A blob store of a data set in a directory.
struct StoreReport {
  std::string name;
  blob::Listing listing;
};
std::string inspect_text(const std::string& name, const kv::RootRecord& root, FileSystemSpace space,
                         const std::vector<StoreReport>& stores, bool blobs);
Json inspect_json(const std::string& name, const kv::RootRecord& root, FileSystemSpace space,
                  const std::vector<StoreReport>& stores, bool blobs);

}  // namespace ashlar::app

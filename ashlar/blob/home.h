#pragma once

/// Where the stores of one data set are: directories in a directory (docs/formats/directory.md), or volumes
/// of a device (docs/formats/blob-device.md).

#include <cstdint>
#include <memory>
#include <string>

#include "ashlar/blob/directory/directory_store.h"
#include "ashlar/blob/store.h"

namespace ashlar::blob {

/// Owner: the shard that made it; open_partition() and prepare_partition() come from any. Lifecycle: the root
/// store is opened first, and holds the lock of the whole; every store is closed before close().
class Home {
 public:
  virtual ~Home() = default;

  /// For people: what is opened, and which part of it.
  virtual const std::string& name() const noexcept = 0;
  virtual std::string partition_name(std::uint32_t partition) const = 0;

  /// The store that holds the root record; made where it is missing. `busy` where another process has it
  /// open.
  virtual Task<Result<std::unique_ptr<Store>>> open_root() = 0;
  /// Makes what a partition's store needs to be opened; durable. May be repeated.
  virtual Task<Result<>> prepare_partition(std::uint32_t partition) = 0;
  /// On the shard that is to use it.
  virtual Task<Result<std::unique_ptr<Store>>> open_partition(std::uint32_t partition) = 0;

  virtual Task<> close() { co_return; }
};

/// `PATH` and `PATH/partition-0000` …; the last step of the path is made where it is missing. The reserve is
/// that of one partition.
std::unique_ptr<Home> directory_home(std::string path, DirectoryOptions options);

}  // namespace ashlar::blob

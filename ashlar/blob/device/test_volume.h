#pragma once

/// What tests of volumes share: a disk of a simulated machine, formatted, opened and used.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "ashlar/blob/device/blob_device.h"
#include "ashlar/blob/test_blobs.h"
#include "ashlar/block/registry.h"
#include "ashlar/runtime/ops/test_file.h"
#include "ashlar/transport/file/file_kinds.h"
#include "ashlar/transport/ram/ram_device.h"

namespace ashlar::blob::testing {

constexpr const char* disk = "/disk";
constexpr const char* spec = "uring:/disk";
constexpr VolumeOptions options{.reserve_bytes = 1u << 20, .create = true};

inline const Registry& kinds() {
  static const Registry registry = [] {
    Registry made;
    made.add(ram_kind());
    made.add(uring_kind());
    return made;
  }();
  return registry;
}

inline Task<Result<std::unique_ptr<Device>>> open_device(std::string text) {
  auto device = co_await kinds().open(text);
  if (device) co_return *std::move(device);
  ADD_FAILURE() << device.error().show(text);
  co_return fail(device.error().code, "open device");
}

inline Task<Result<>> make_disk(std::uint64_t bytes) {
  return ashlar::testing::make_file(disk, bytes);
}

inline Task<Result<>> format(std::string text, FormatOptions how = {.chunk_bytes = 1u << 20}) {
  auto device = CO_TRY(co_await open_device(std::move(text)));
  const Result<> formatted = co_await format_device(*device, how);
  co_await device->close();
  co_return formatted;
}

inline Task<Result<>> prepare(std::uint64_t bytes) {
  CO_TRY(co_await make_disk(bytes));
  co_return co_await format(spec);
}

using Body = std::function<Task<Result<>>(BlobDevice&)>;

/// Opens the device, runs `body`, closes it; the first error counts.
inline Task<Result<>> with_device(std::string text, Body body) {
  auto device = CO_TRY(co_await open_device(std::move(text)));
  auto blobs = co_await BlobDevice::open(*device);
  const Result<> result = blobs ? co_await body(**blobs) : std::unexpected(blobs.error());
  co_await device->close();
  co_return result;
}

using StoreBody = std::function<Task<Result<>>(Store&)>;
inline Task<Result<>> with_volume(BlobDevice& blobs, VolumeNumber number, StoreBody body) {
  auto store = CO_TRY(co_await blobs.open_volume(number, options));
  const Result<> result = co_await body(*store);
  const Result<> closed = co_await store->close();
  CO_TRY(result);
  co_return closed;
}

inline Task<Result<>> on_store(StoreBody body) {
  co_return co_await with_device(spec, [&](BlobDevice& blobs) { return with_volume(blobs, 1, body); });
}

inline Task<Result<>> expect_two(Store& store) {
  EXPECT_EQ(as_text(*CO_TRY(co_await store.read_root(1))), "two");
  EXPECT_TRUE(CO_TRY(store.list()).tables.empty());
  co_return Result<>{};
}

}  // namespace ashlar::blob::testing

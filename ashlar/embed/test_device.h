#pragma once

/// A formatted device of the test's own, in a file.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "ashlar/base/result.h"
#include "ashlar/blob/device/blob_device.h"
#include "ashlar/device/standard_registry.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar {

inline Task<Result<>> format(std::string spec) {
  auto device = co_await standard_registry().open(spec);
  if (!device) co_return fail(Errc::io, "device");
  const Result<> formatted = co_await blob::format_device(**device, {.chunk_bytes = 1u << 20});
  co_await (*device)->close();
  co_return formatted;
}

/// Its spec.
inline std::string make_device(const std::string& file, int megabytes) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  EXPECT_GE(descriptor, 0);
  EXPECT_EQ(ftruncate(descriptor, off_t{megabytes} << 20), 0);
  ::close(descriptor);
  const std::string spec = "direct:" + file;
  RuntimeOptions options;
  options.shards = 1;
  options.pin = false;
  Runtime runtime(options);
  const Result<> formatted = runtime.run([&](Shard&) { return format(spec); });
  EXPECT_TRUE(formatted) << formatted.error().to_string();
  return spec;
}

}  // namespace ashlar

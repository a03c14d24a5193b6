#include "ashlar/app/format_command.h"

#include <fmt/format.h>

#include "ashlar/app/command_line.h"
#include "ashlar/base/units.h"
#include "ashlar/blob/device/blob_device.h"
#include "ashlar/device/standard_registry.h"

namespace ashlar::app {

namespace {

Task<Result<>> format_opened(Device& device, blob::FormatOptions options) {
  CO_TRY(co_await device.claim());
  CO_TRY(co_await blob::format_device(device, options));
  const auto blobs = CO_TRY(co_await blob::BlobDevice::open(device));
  const blob::Superblock& layout = blobs->layout();
  fmt::print("{}: {} chunks of {}\n", device.spec(), layout.chunk_count, format_bytes(layout.chunk_bytes));
  co_return Result<>{};
}

Task<Result<>> run(const FormatArguments* arguments, blob::FormatOptions options, int* status) {
  auto device = co_await standard_registry().open(arguments->device);
  if (!device) {
    fmt::print(stderr, "ashlar: {}\n", device.error().show(arguments->device));
    *status = device.error().code == Errc::invalid ? exit_usage : 1;
    co_return Result<>{};
  }
  const Result<> formatted = co_await format_opened(**device, options);
  co_await (*device)->close();
  if (!formatted) {
    fmt::print(stderr, "ashlar: {}: {}{}\n", arguments->device, formatted.error(),
               formatted.error().code == Errc::exists ? "; --overwrite makes it empty" : "");
    *status = 1;
  }
  co_return Result<>{};
}

}  // namespace

int format(const FormatArguments& arguments, RuntimeOptions runtime_options) {
  blob::FormatOptions options{.overwrite = arguments.overwrite};
  if (!arguments.chunk.empty()) {
    const auto chunk = parse_bytes(arguments.chunk);
    if (!chunk || *chunk < blob::chunk_bytes_min || *chunk > blob::chunk_bytes_max ||
        (*chunk & (*chunk - 1)) != 0) {
      fmt::print(stderr, "ashlar: chunk: '{}' is no power of two from 1MiB to 1GiB\n", arguments.chunk);
      return exit_usage;
    }
    options.chunk_bytes = *chunk;
  }
  runtime_options.shards = 1;
  runtime_options.pin = false;
  Runtime runtime(runtime_options);
  int status = 0;
  const Result<> result = runtime.run([&](Shard&) { return run(&arguments, options, &status); });
  if (result) return status;
  fmt::print(stderr, "ashlar: {}: {}\n", arguments.device, result.error());
  return 1;
}

}  // namespace ashlar::app

#include "ashlar/app/device_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "ashlar/app/command_line.h"
#include "ashlar/app/copies_report.h"
#include "ashlar/app/data_command.h"
#include "ashlar/app/device_report.h"
#include "ashlar/app/json.h"
#include "ashlar/blob/device/device_home.h"
#include "ashlar/device/standard_registry.h"
#include "ashlar/kv/lsm/verify.h"

namespace ashlar::app {
namespace {

struct Context {
  const DeviceArguments& arguments;
  const Settings& settings;
};

/// The spec of blob(SPEC) or SPEC itself; nothing for a directory.
std::string device_of(const std::string& target) {
  const auto location = DataLocation::parse(target);
  return location ? location->device : target;
}

/// A device that nobody else uses. The error is the exit status, after one line on stderr.
Task<std::expected<std::unique_ptr<Device>, int>> claim_device(std::string spec) {
  auto device = co_await standard_registry().open(spec);
  if (!device) {
    fmt::print(stderr, "ashlar: {}\n", device.error().show(spec));
    co_return std::unexpected(device.error().code == Errc::invalid ? exit_usage : 1);
  }
  const Result<> claimed = co_await (*device)->claim();
  if (claimed) co_return *std::move(device);
  co_await (*device)->close();
  co_return std::unexpected(say_failed(spec, claimed.error()));
}

/// Of a device there is a data set on only where it has the root's volume.
bool has_data_set(const blob::DeviceReport& report) {
  return std::ranges::any_of(report.volumes, [](const blob::VolumeReport& volume) {
    return volume.number == 1 && volume.state.roots.contains(0);
  });
}

Task<int> check_contents(const std::string& name, blob::Home& home, std::string& text, Json& all,
                         unsigned shards) {
  const auto report = co_await lsm::verify_data_set(home, {.shards = shards});
  co_await home.close();
  if (!report) co_return say_failed(name, report.error().to_string());
  text += report_text(name, *report);
  all["data_set"] = report_json(name, *report);
  co_return report->damages.empty() ? 0 : exit_damaged;
}

int print(const DeviceArguments& arguments, const std::string& text, const Json& all, int status) {
  if (status != 1) fmt::print("{}", arguments.json ? all.text() : text);
  return status;
}

Task<int> check_device(const Context* context, std::string spec, unsigned shards) {
  const DeviceArguments& arguments = context->arguments;
  auto device = co_await claim_device(spec);
  if (!device) co_return device.error();
  const auto report = co_await blob::check_device(**device);
  if (!report) {
    co_await (*device)->close();
    co_return say_failed(spec, report.error().to_string());
  }
  std::string text = damages_text(*report);
  Json all = {{"target", spec},
              {"works", report->works()},
              {"volumes", report->volumes.size()},
              {"damages", damages_json(*report)}};
  text += fmt::format("{}: {} volumes, {} of {} chunks free: {}\n", spec, report->volumes.size(),
                      report->free_chunks, report->layout.chunk_count,
                      report->damages.empty() ? "whole"
                      : report->works()       ? "works, with one of two copies damaged"
                                              : "damaged");
  int status = report->damages.empty() ? 0 : exit_damaged;
  if (report->works() && has_data_set(*report) && !arguments.metadata) {
    const auto home = blob::device_home(*std::move(device), context->settings.engine.directory.reserve_bytes);
    const int contents = co_await check_contents(spec, *home, text, all, shards);
    if (contents != 0) status = contents;
    co_return print(arguments, text, all, status);
  }
  co_await (*device)->close();
  co_return print(arguments, text, all, status);
}

Task<int> check_directory(const Context* context, unsigned shards) {
  auto data = co_await find_home(context->arguments.target, &context->settings, Expect::something);
  if (!data) co_return data.error();
  std::string text;
  Json all = {{"target", data->name}};
  const int status = co_await check_contents(data->name, *data->home, text, all, shards);
  co_return print(context->arguments, text, all, status);
}

Task<int> inspect_device(const Context* context, std::string spec) {
  const DeviceArguments& arguments = context->arguments;
  auto device = co_await claim_device(spec);
  if (!device) co_return device.error();
  const auto report = co_await blob::check_device(**device);
  co_await (*device)->close();
  if (!report) co_return say_failed(spec, report.error().to_string());
  if (arguments.json) {
    fmt::print("{}", inspect_json(spec, *report, arguments.blobs).text());
  } else {
    fmt::print("{}{}", damages_text(*report), inspect_text(spec, *report, arguments.blobs));
  }
  co_return report->damages.empty() ? 0 : exit_damaged;
}

/// What the stores of a data set hold, whose root store is open.
Task<Result<std::vector<StoreReport>>> list_stores(blob::Home& home, blob::Store& root,
                                                   std::uint32_t partitions) {
  std::vector<StoreReport> stores;
  stores.push_back({"root", CO_TRY(root.list())});
  for (std::uint32_t id = 0; id < partitions; ++id) {
    const auto store = CO_TRY(co_await home.open_partition(id));
    auto listing = store->list();
    CO_TRY(co_await store->close());
    stores.push_back({fmt::format("partition {}", id), CO_TRY(std::move(listing))});
  }
  co_return stores;
}

Task<Result<>> inspect_opened(const DeviceArguments& arguments, const NamedHome& data, blob::Store& root) {
  const auto stored = CO_TRY(co_await root.read_root(0));
  if (!stored) co_return fail(Errc::not_found, "root record: no data set");
  const kv::RootRecord record = CO_TRY(kv::RootRecord::decode(*stored));
  const auto stores = CO_TRY(co_await list_stores(*data.home, root, record.partitioner.partitions()));
  const FileSystemSpace space = CO_TRY(root.space());
  if (arguments.json) {
    fmt::print("{}", inspect_json(data.name, record, space, stores, arguments.blobs).text());
  } else {
    fmt::print("{}", inspect_text(data.name, record, space, stores, arguments.blobs));
  }
  co_return Result<>{};
}

Task<int> inspect_directory(const Context* context) {
  const auto data = co_await find_home(context->arguments.target, &context->settings, Expect::something);
  if (!data) co_return data.error();
  auto root = co_await data->home->open_root();
  Result<> done =
      root ? co_await inspect_opened(context->arguments, *data, **root) : std::unexpected(root.error());
  if (root) {
    const Result<> closed = co_await (*root)->close();
    if (done) done = closed;
  }
  co_await data->home->close();
  co_return done ? 0 : say_failed(data->name, done.error());
}

}  // namespace

int check_target(const DeviceArguments& arguments, const Settings& settings) {
  const Context context{arguments, settings};
  const std::string device = device_of(arguments.target);
  return run_command(settings.runtime, settings.runtime.shards, [&](unsigned shards) {
    return device.empty() ? check_directory(&context, shards) : check_device(&context, device, shards);
  });
}

int inspect_target(const DeviceArguments& arguments, const Settings& settings) {
  const Context context{arguments, settings};
  const std::string device = device_of(arguments.target);
  return run_command(settings.runtime, 1, [&](unsigned) {
    return device.empty() ? inspect_directory(&context) : inspect_device(&context, device);
  });
}

}  // namespace ashlar::app

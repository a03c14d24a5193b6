/// The `ashlar` program. Exit status: 0 done, 1 failed, 2 the command line or the configuration is
/// wrong, 3 done, and what it found is damaged.

#include <fmt/core.h>

#include "ashlar/app/command_line.h"
#include "ashlar/app/data_home.h"
#include "ashlar/app/devices_command.h"
#include "ashlar/app/doctor.h"
#include "ashlar/app/kv_tool.h"
#include "ashlar/app/serve.h"
#include "ashlar/app/settings.h"
#include "ashlar/app/trace_command.h"
#include "ashlar/app/version.h"
#include "ashlar/device/standard_registry.h"

namespace ashlar::app {
namespace {

int run_on_location(const CommandLine& line, Settings& settings) {
  const auto location = location_of(settings.data);
  if (!location) {
    fmt::print(stderr, "ashlar: {}\n", location.error());
    return exit_usage;
  }
  if (line.command == Command::serve) return run_serve(settings, *location);
  DoctorOptions options = line.doctor;
  if (location->on_device() && options.targets.empty()) options.targets.push_back(location->device);
  return run_doctor(options, settings, location->directory);
}

int print(const std::string& page) {
  fmt::print("{}", page);
  return 0;
}

int run(const CommandLine& line, Settings& settings) {
  switch (line.command) {
    case Command::options: return print(settings.reference());
    case Command::version: return print(version_details());
    case Command::devices: return print(devices_reference(standard_registry()));
    case Command::format: return format(line.format, settings.runtime);
    case Command::trace_show: return show_trace(line.trace, settings.runtime);
    case Command::trace_replay: return replay_trace(line.trace, settings.runtime);
    case Command::serve:
    case Command::doctor: return run_on_location(line, settings);
    case Command::kv_verify: return verify_data(line.copies, settings);
    case Command::kv_repair: return repair_data(line.copies, settings);
    case Command::kv_checkpoint: return make_checkpoint(line.copies, settings);
    case Command::kv_backup: return make_backup(line.copies, settings);
    case Command::kv_backups: return list_backups(line.copies, settings);
    case Command::kv_restore: return restore_backup(line.copies, settings);
    case Command::kv_export: return export_data(line.transfer, settings);
    case Command::kv_import: return import_data(line.transfer, settings);
    case Command::kv_dump: return dump_data(line.dump, settings);
    case Command::kv_ingest: return ingest_data(line.ingest, settings);
    case Command::kv_compact: return compact_data(line.data, settings);
    case Command::check: return check_target(line.device, settings);
    case Command::inspect: return inspect_target(line.device, settings);
    case Command::kv_get:
    case Command::kv_put:
    case Command::kv_del:
    case Command::kv_scan:
    case Command::kv_stats: return run_kv(line, settings);
  }
  return exit_usage;
}

}  // namespace
}  // namespace ashlar::app

int main(int argc, char** argv) {
  using namespace ashlar;
  app::Settings settings;
  const auto line = app::parse_command_line(argc, argv, settings);
  if (!line) return line.error();
  log::configure(settings.logging);
  return app::run(*line, settings);
}

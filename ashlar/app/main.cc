/// The `ashlar` program. Exit status: 0 done, 1 failed, 2 the command line or the configuration is wrong.

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

int run_on_data(const CommandLine& line, Settings& settings) {
  const auto location = location_of(settings.data);
  if (!location) {
    fmt::print(stderr, "ashlar: {}\n", location.error());
    return exit_usage;
  }
  if (line.command == Command::doctor) {
    DoctorOptions options = line.doctor;
    if (location->on_device() && options.targets.empty()) options.targets.push_back(location->device);
    return run_doctor(options, settings, location->directory);
  }
  if (line.command == Command::serve) return run_serve(settings, *location);
  return run_kv(line, settings, *location);
}

int run(const CommandLine& line, Settings& settings) {
  if (line.command == Command::options) {
    fmt::print("{}", settings.reference());
    return 0;
  }
  if (line.command == Command::version) {
    fmt::print("{}", version_details());
    return 0;
  }
  if (line.command == Command::devices) {
    fmt::print("{}", devices_reference(standard_registry()));
    return 0;
  }
  if (line.command == Command::format) return format(line.format, settings.runtime);
  if (line.command == Command::trace_show) return show_trace(line.trace, settings.runtime);
  if (line.command == Command::trace_replay) return replay_trace(line.trace, settings.runtime);
  return run_on_data(line, settings);
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

/// The `ashlar` program. Exit status: 0 done, 1 failed, 2 the command line or the configuration is wrong.

#include <fmt/core.h>

#include "ashlar/app/command_line.h"
#include "ashlar/app/doctor.h"
#include "ashlar/app/settings.h"
#include "ashlar/app/version.h"

namespace {

using namespace ashlar;
using namespace ashlar::app;

int usage_error(const std::string& message) {
  fmt::print(stderr, "ashlar: {}\n", message);
  return exit_usage;
}

int run_doctor(const Settings& settings) {
  const auto directory = directory_of(settings.data);
  if (!directory) return usage_error(directory.error());
  return print(examine(*directory)) ? 0 : 1;
}

int run(const CommandLine& line, Settings& settings) {
  switch (line.command) {
    case Command::doctor: return run_doctor(settings);
    case Command::options: fmt::print("{}", settings.reference()); return 0;
    case Command::version: fmt::print("{}", version_details()); return 0;
    default: return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  const auto line = parse_command_line(argc, argv, settings);
  if (!line) return line.error();
  log::configure(settings.logging);
  return run(*line, settings);
}

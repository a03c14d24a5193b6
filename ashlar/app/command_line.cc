#include "ashlar/app/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "ashlar/app/bound_options.h"
#include "ashlar/app/kv_command_line.h"
#include "ashlar/app/version.h"

namespace ashlar::app {
namespace {

int usage_error(const std::string& message) {
  fmt::print(stderr, "ashlar: {}\n", message);
  return exit_usage;
}

std::string unexpected_argument(const CLI::App& app, const OptionSet& set) {
  const std::vector<std::string> rest = app.remaining(true);
  if (rest.empty() || !rest.front().starts_with('-'))
    return fmt::format("unexpected argument '{}'", rest.empty() ? "" : rest.front());
  const std::string flag = rest.front().substr(0, rest.front().find('='));
  const Option* const meant = set.nearest(flag);
  return meant == nullptr || meant->flag() == flag
             ? fmt::format("unknown option {}", flag)
             : fmt::format("unknown option {}, did you mean {}?", flag, meant->flag());
}

void declare_trace(CLI::App& app, CommandLine& line, Given& given, OptionSet& set) {
  CLI::App* const trace = app.add_subcommand("trace", "What the layer trace(DEVICE) has recorded");
  bind(*trace, set, given, {"runtime", "log-level", "log-timestamps"});
  trace->require_subcommand(1);
  TraceArguments& arguments = line.trace;
  const auto add = [&](const char* name, const char* help, Command command) {
    CLI::App* const sub = trace->add_subcommand(name, help)->fallthrough();
    sub->callback([&line, command] { line.command = command; });
    sub->add_option("FILE", arguments.file, "The trace")->type_name("")->required();
    return sub;
  };
  CLI::App* const show = add("show", "Print what a trace holds", Command::trace_show);
  show->add_option("--entries", arguments.entries, "List so many requests")->type_name("NUMBER");
  CLI::App* const replay = add("replay", "Replay a trace against a device", Command::trace_replay);
  replay->add_option("DEVICE", arguments.device, "Its spec; the kinds: `ashlar devices`")
      ->type_name("")
      ->required();
  replay
      ->add_option("--pace", arguments.pace,
                   "When a request starts: at its time, after those it waited for, or at a depth [recorded]")
      ->check(CLI::IsMember({"recorded", "dependent", "depth"}).description(""))
      ->type_name("recorded|dependent|depth");
  replay->add_option("--speed", arguments.options.speed, "Of the recorded time: 2 is twice as fast")
      ->check(CLI::Validator(CLI::PositiveNumber).description(""))
      ->type_name("NUMBER");
  replay->add_option("--depth", arguments.options.depth, "Requests at once, with --pace depth: 1 to 4096")
      ->check(CLI::Range(1, 4096).description(""))
      ->type_name("NUMBER");
  replay
      ->add_option("--writes", arguments.writes,
                   "What becomes of requests that change the device [refuse, where it keeps its contents]")
      ->check(CLI::IsMember({"refuse", "skip", "carry-out"}).description(""))
      ->type_name("refuse|skip|carry-out");
}

void declare_format(CLI::App& format, FormatArguments& arguments, Given& given, OptionSet& set) {
  bind(format, set, given, {"runtime", "log-level", "log-timestamps"});
  format.add_option("DEVICE", arguments.device, "Its spec; the kinds: `ashlar devices`")
      ->type_name("")
      ->required();
  format.add_option("--chunk", arguments.chunk, "What volumes take space in [64MiB, less on a small device]")
      ->type_name("SIZE");
  format.add_flag("--overwrite", arguments.overwrite, "Also where it holds data already, which is lost");
}

CLI::App* declare_device(CLI::App& command, DeviceArguments& arguments, Given& given, OptionSet& set) {
  bind(command, set, given, {"runtime", "blob", "log-level", "log-timestamps"});
  command.add_option("TARGET", arguments.target, "dir:PATH, blob(DEVICE) or a device's spec")
      ->type_name("")
      ->required();
  command.add_flag("--json", arguments.json, "Print JSON");
  return &command;
}

void declare_doctor(CLI::App& doctor, DoctorOptions& options, Given& given, OptionSet& set) {
  bind(doctor, set, given, {"data", "runtime", "log-level", "log-timestamps"});
  doctor.add_option("TARGET", options.targets, "Paths, devices and device specs; none: the data directory")
      ->type_name("");
  const std::vector<std::string> names(std::begin(goal_names), std::end(goal_names));
  doctor
      .add_option_function<std::string>(
          "--for",
          [&options, names](const std::string& name) {
            options.goal = static_cast<Goal>(std::find(names.begin(), names.end(), name) - names.begin());
          },
          "What devices are wanted for: whose ladder is shown [latency]")
      ->check(CLI::IsMember(names))
      ->type_name("GOAL");
  doctor.add_flag("--json", options.json, "Print JSON");
  doctor.add_flag("--measure", options.measure,
                  "Time durable writes, in an unnamed file of the data directory (else nothing is written)");
}

}  // namespace

std::expected<CommandLine, int> parse_command_line(int argc, char** argv, Settings& settings) {
  CommandLine line;
  Given given;
  CLI::App app("Ashlar, a storage stack in one piece", "ashlar");
  app.set_version_flag("--version", version_line());
  app.require_subcommand(1);
  const auto add = [&](const char* name, const char* help, Command command) {
    CLI::App* const sub = app.add_subcommand(name, help);
    sub->callback([&line, command] { line.command = command; });
    return sub;
  };
  bind(*add("serve", "Serve a data directory", Command::serve), settings.set, given, {});
  declare_kv(app, line, given, settings.set);
  declare_doctor(
      *add("doctor", "Say what this machine offers and what would make it better", Command::doctor),
      line.doctor, given, settings.set);
  declare_trace(app, line, given, settings.set);
  declare_format(*add("format", "Make a device ready to hold data: --data 'blob(DEVICE)'", Command::format),
                 line.format, given, settings.set);
  declare_device(*add("check", "Say what of a device or data set is damaged", Command::check), line.device,
                 given, settings.set)
      ->add_flag("--metadata", line.device.metadata, "Leave the contents of the data set out");
  declare_device(*add("inspect", "Print how a device or data set is laid out", Command::inspect), line.device,
                 given, settings.set)
      ->add_flag("--blobs", line.device.blobs, "List every blob, and where it is");
  add("devices", "Print the reference of all kinds of device, as Markdown", Command::devices);
  add("options", "Print the reference of all options, as Markdown", Command::options);
  add("version", "Print the version and what it was built with", Command::version);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return std::unexpected(app.exit(help));
  } catch (const CLI::ExtrasError&) {
    return std::unexpected(usage_error(unexpected_argument(app, settings.set)));
  } catch (const CLI::ParseError& error) {
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    return std::unexpected(usage_error(message + "; see ashlar --help"));
  }
  if (const OptionResult result = apply(given, settings.set); !result)
    return std::unexpected(usage_error(result.error()));
  return line;
}

}  // namespace ashlar::app

#include "ashlar/app/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>

#include "ashlar/app/config_file.h"
#include "ashlar/app/version.h"

namespace ashlar::app {
namespace {

/// An option on the command line of one command, and what was given for it.
struct Flag {
  Option* option;
  CLI::Option* bound = nullptr;
  std::string text;
};

/// What parsing leaves behind; the configuration file and the environment are applied before the flags.
struct Given {
  std::string config_file;
  std::deque<Flag> flags;  // bound by address
};

std::string help_of(const Option& option) {
  std::string text(option.help());
  if (const std::string bounds = option.bounds(); !bounds.empty()) text += fmt::format(" ({})", bounds);
  if (!option.default_value().empty()) text += fmt::format(" [{}]", option.default_value());
  return text;
}

/// Adds the options that a command uses, by table or by name; none stands for all.
void bind(CLI::App& command, OptionSet& set, Given& given, std::initializer_list<std::string_view> used) {
  command.add_option("--config", given.config_file, "Configuration file; its keys: `ashlar options`")
      ->type_name("FILE.toml")
      ->envname("ASHLAR_CONFIG");
  for (Option& option : set) {
    const std::string_view name = option.name();
    const std::size_t dot = name.find('.');
    const std::string_view table = dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
    const auto uses = [used](std::string_view what) {
      return std::find(used.begin(), used.end(), what) != used.end();
    };
    if (used.size() != 0 && !uses(table) && !uses(name)) continue;
    Flag& flag = given.flags.emplace_back(&option);
    flag.bound =
        option.kind() == Option::Kind::flag
            ? command.add_flag(option.flag(), flag.text, help_of(option))
            : command.add_option(option.flag(), flag.text, help_of(option))->type_name(option.form());
    if (!table.empty()) flag.bound->group(fmt::format("[{}]", table));
  }
}

OptionResult apply(const Given& given, OptionSet& set) {
  if (!given.config_file.empty())
    if (OptionResult result = read_config_file(given.config_file, set); !result) return result;
  if (OptionResult result = set.set_from_environment(std::getenv); !result) return result;
  for (const Flag& flag : given.flags)
    if (flag.bound->count() != 0)
      if (OptionResult result = flag.option->set(flag.text); !result) return result;
  return {};
}

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

/// Adds a command by name, help and what it is.
using Adder = std::function<CLI::App*(const char*, const char*, Command)>;

template <class Field>
CLI::Option* positional(CLI::App* command, const char* name, Field& field) {
  return command->add_option(name, field)->type_name("");
}

void declare_copies(const Adder& add, CopiesArguments& arguments) {
  const auto json = [&](CLI::App* command) { command->add_flag("--json", arguments.json, "Print JSON"); };

  CLI::App* const verify = add("verify", "Read all of DATA and say what is damaged", Command::kv_verify);
  positional(verify, "DATA", arguments.data)->required();
  json(verify);

  CLI::App* const repair =
      add("repair", "Make a damaged DATA open again, with what of it can be read", Command::kv_repair);
  positional(repair, "DATA", arguments.data)->required();
  repair->add_flag("--force", arguments.force, "Rebuild manifests from the tables also where they are whole");
  json(repair);

  CLI::App* const checkpoint =
      add("checkpoint", "Make DEST a second data set like DATA, with shared tables where it can be",
          Command::kv_checkpoint);
  positional(checkpoint, "DATA", arguments.data)->required();
  positional(checkpoint, "DEST", arguments.destination)->required();

  CLI::App* const backup = add(
      "backup", "Add what DATA holds to the backups in REPO, copying only what is new", Command::kv_backup);
  positional(backup, "DATA", arguments.data)->required();
  positional(backup, "REPO", arguments.repository)->required();
  backup->add_option("--keep", arguments.keep, "Remove all but so many of the newest")->type_name("NUMBER");
  json(backup);

  CLI::App* const backups = add("backups", "List the backups in REPO", Command::kv_backups);
  positional(backups, "REPO", arguments.repository)->required();
  backups->add_flag("--check", arguments.check, "Read every byte of them and say what is damaged");
  json(backups);

  CLI::App* const restore =
      add("restore", "Make DEST a data set from backup ID of REPO, or from the newest", Command::kv_restore);
  positional(restore, "REPO", arguments.repository)->required();
  positional(restore, "DEST", arguments.restore_to)->required()->expected(1, 2)->option_text("[ID] DEST");
}

/// Of a file of records.
void add_format(CLI::App* command, std::string& format) {
  command->add_option("--format", format, "Of the file [as its name ends]")
      ->check(CLI::IsMember({"csv", "jsonl"}).description(""))
      ->type_name("csv|jsonl");
}

/// Of a command that may make what it writes into.
template <class Arguments>
void add_creation(CLI::App* command, Arguments& arguments) {
  command->add_flag("--create", arguments.create, "Make DATA where there is none");
  command->add_flag("--create-families", arguments.create_families,
                    "Make column families that are not there");
}

void declare_transfer(const Adder& add, TransferArguments& arguments) {
  CLI::App* const out =
      add("export", "Print keys and values of DATA, or write them to FILE", Command::kv_export);
  positional(out, "DATA", arguments.data)->required();
  positional(out, "FILE", arguments.file);
  add_format(out, arguments.format);
  out->add_option("--prefix", arguments.prefix, "Only keys that begin so")->type_name("KEY");
  out->add_option("--from", arguments.from, "Only keys from here on")->type_name("KEY");
  out->add_option("--to", arguments.to, "Only keys before this one")->type_name("KEY");
  out->add_option("--family", arguments.family, "Only this column family [all, and the store's own keys]")
      ->type_name("NAME");

  CLI::App* const in =
      add("import", "Put the keys and values of FILE (-: standard input)", Command::kv_import);
  positional(in, "DATA", arguments.data)->required();
  positional(in, "FILE", arguments.file)->required();
  add_format(in, arguments.format);
  add_creation(in, arguments);
}

void declare_ingest(CLI::App* ingest, IngestArguments& arguments) {
  positional(ingest, "DATA", arguments.data)->required();
  positional(ingest, "FILE", arguments.file)->required();
  add_format(ingest, arguments.format);
  ingest->add_flag("--sort", arguments.sort, "Put the records in the order of storage first, in memory");
  add_creation(ingest, arguments);
}

void declare_dump(CLI::App* dump, DumpArguments& arguments) {
  positional(dump, "DATA", arguments.data)->required();
  positional(dump, "PART", arguments.part)
      ->required()
      ->check(CLI::IsMember({"root", "manifest", "log", "table"}).description(""))
      ->option_text("root|manifest|log|table");
  positional(dump, "NUMBER", arguments.table)->description("Of the table");
  dump->add_option("--partition", arguments.partition, "Whose [0]")->type_name("NUMBER");
  dump->add_option("--limit", arguments.limit, "Stop after so many records or entries")->type_name("NUMBER");
  dump->add_flag("--json", arguments.json, "Print JSON, an object a line");
}

void declare_kv(CLI::App& app, CommandLine& line, Given& given, OptionSet& set) {
  CLI::App* const kv = app.add_subcommand("kv", "Work on a data set that no server holds");
  bind(*kv, set, given, {"data", "runtime", "kv", "log", "blob", "log-level", "log-timestamps"});
  kv->require_subcommand(1);
  const Adder add = [&](const char* name, const char* help, Command command) {
    CLI::App* const sub = kv->add_subcommand(name, help)->fallthrough();
    sub->callback([&line, command] { line.command = command; });
    return sub;
  };
  positional(add("get", "Print the value of KEY", Command::kv_get), "KEY", line.key)->required();
  CLI::App* const put = add("put", "Store VALUE under KEY", Command::kv_put);
  positional(put, "KEY", line.key)->required();
  positional(put, "VALUE", line.value)->required();
  positional(add("del", "Delete each KEY", Command::kv_del), "KEY", line.keys)->required();
  CLI::App* const scan =
      add("scan", "Print keys and values from FROM (included) to TO (excluded)", Command::kv_scan);
  positional(scan, "FROM", line.from);
  positional(scan, "TO", line.to);
  scan->add_option("--limit", line.limit, "Stop after so many entries")->type_name("NUMBER");
  scan->add_flag("--reverse", line.reverse, "From the last to the first");
  CLI::App* const stats = add("stats", "Print what the engine knows about itself", Command::kv_stats);
  positional(stats, "DATA", line.data);
  stats->add_flag("--json", line.json, "Print JSON");
  declare_copies(add, line.copies);
  declare_transfer(add, line.transfer);
  declare_ingest(add("ingest", "Add sorted records of FILE to DATA as whole tables", Command::kv_ingest),
                 line.ingest);
  positional(add("compact", "Merge all of DATA into the last level", Command::kv_compact), "DATA", line.data)
      ->required();
  declare_dump(add("dump", "Print what a part of DATA holds", Command::kv_dump), line.dump);
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

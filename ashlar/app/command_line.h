#pragma once

/// The command line: which command, its arguments, and the options, which come from four places. The later
/// one wins: default, configuration file, environment, flag.

#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/app/copies_command.h"
#include "ashlar/app/device_command.h"
#include "ashlar/app/doctor.h"
#include "ashlar/app/dump_command.h"
#include "ashlar/app/format_command.h"
#include "ashlar/app/ingest_command.h"
#include "ashlar/app/settings.h"
#include "ashlar/app/trace_command.h"
#include "ashlar/app/transfer_command.h"

namespace ashlar::app {

enum class Command : std::uint8_t {
  serve,
  kv_get,
  kv_put,
  kv_del,
  kv_scan,
  kv_stats,
  kv_verify,
  kv_repair,
  kv_checkpoint,
  kv_backup,
  kv_backups,
  kv_restore,
  kv_export,
  kv_import,
  kv_dump,
  kv_ingest,
  kv_compact,
  check,
  inspect,
  doctor,
  devices,
  format,
  trace_show,
  trace_replay,
  options,
  version
};

struct CommandLine {
  Command command = Command::version;
  std::string data;               ///< kv stats and compact; empty: option `data`
  std::string key;                ///< kv get and put
  std::string value;              ///< kv put
  std::vector<std::string> keys;  ///< kv del
  std::string from, to;           ///< kv scan; empty is no bound
  std::uint64_t limit = 0;        ///< kv scan; 0 is none
  bool reverse = false;           ///< kv scan
  bool json = false;              ///< kv stats
  CopiesArguments copies;
  TransferArguments transfer;
  DumpArguments dump;
  IngestArguments ingest;
  DeviceArguments device;
  DoctorOptions doctor;
  FormatArguments format;
  TraceArguments trace;
};

constexpr int exit_usage = 2;

/// Parses and stores all options into `settings`. The error is the exit status, after one line on stderr (2),
/// or after the help that was asked for on stdout (0).
std::expected<CommandLine, int> parse_command_line(int argc, char** argv, Settings& settings);

}  // namespace ashlar::app

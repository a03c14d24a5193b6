#include "ashlar/embed/open_settings.h"

#include <fmt/format.h>

#include <filesystem>

#include "ashlar/base/log.h"
#include "ashlar/base/options.h"
#include "ashlar/embed/program_operator.h"

namespace ashlar::embed {

std::expected<DataLocation, std::string> location_of(const std::string& where) {
  const bool prefixed = where.starts_with("dir:") || where.starts_with("blob(");
  return DataLocation::parse(prefixed ? where : "dir:" + where);
}

std::expected<void, std::string> OpenSettings::read(const std::string& where, const DbOptions& options) {
  OptionSet set;
  ashlar::describe(set, runtime);
  lsm::describe(set, engine);
  wal::describe(set, engine.log);
  blob::describe(set, engine.directory);
  for (const auto& [name, value] : options.settings) {
    if (auto done = set.set(name, value); !done) return done;
  }
  runtime.shards = options.shards == 0 ? 0 : options.shards + engine.background_shards;
  runtime.pin = options.pin;
  if (options.drive) {
    if (options.shards == 0) return std::unexpected("shards: so many, where one of them is driven");
    runtime.driven = engine.idle_shards = options.shards - 1;  // it helps nobody: it may be elsewhere
  }
  runtime.take_signals = false;
  if (!options.merge_operator.empty()) engine.merge_operator = options.merge_operator;
  if (options.memory_cap_bytes != 0) runtime.memory_cap_bytes = options.memory_cap_bytes;
  auto parsed = location_of(where);
  if (!parsed) return std::unexpected(parsed.error());
  location = *std::move(parsed);
  auto ranges = kv::Partitioner::ranged(options.boundaries);
  if (!ranges) return std::unexpected("boundaries: they ascend strictly, and there are at most 4095");
  partitioner = *std::move(ranges);
  return {};
}

Result<> OpenSettings::check_there(const DbOptions& options) {
  if (options.create || location.on_device()) return {};
  std::error_code error;
  const bool there = std::filesystem::is_directory(location.directory, error) &&
                     !std::filesystem::is_empty(location.directory, error) && !error;
  return there ? Result<>() : fail(Errc::not_found, "database directory");
}

Result<> OpenSettings::add_operators(kv::MergeOperators& operators, const DbOptions& options) {
  for (const auto& each : options.merge_operators) {
    if (operators.add(std::make_unique<ProgramOperator>(each))) continue;
    message = fmt::format("merge operator {}: there is one of that name", each->name());
    return fail(Errc::exists, "merge operator");
  }
  engine.merge_operators = &operators;
  return {};
}

std::string OpenSettings::describe(const Error& error) const {
  if (!message.empty()) return message;
  const bool held = error.code == Errc::busy;
  return fmt::format("{}: {}{}", location.name(), error,
                     held ? "; another process, or this one, has it open" : "");
}

}  // namespace ashlar::embed

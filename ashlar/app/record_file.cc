#include "ashlar/app/record_file.h"

#include <fmt/format.h>

#include "ashlar/app/command_line.h"

namespace ashlar::app {

std::optional<RecordFormat> format_of_file(const std::string& file, const std::string& named) {
  if (named == "csv") return RecordFormat::csv;
  if (named == "jsonl") return RecordFormat::jsonl;
  if (file.ends_with(".csv")) return RecordFormat::csv;
  if (file.empty() || file.ends_with(".jsonl") || file.ends_with(".ndjson")) return RecordFormat::jsonl;
  return std::nullopt;
}

int say_unknown_format(const std::string& file) {
  fmt::print(stderr, "ashlar: {}: --format csv or --format jsonl? The name does not say\n", file);
  return exit_usage;
}

std::string text_of(const BadRecord& bad) {
  return bad.line == 0 ? bad.why : fmt::format("line {}, column {}: {}", bad.line, bad.column, bad.why);
}

RecordTypes::RecordTypes(lsm::LsmStore& store, bool create) : store_(store), create_(create) {
  for (const kv::Family& family : store.families()) types_[family.name] = family.key_type();
  types_[""] = kv::KeyType::value;
}

Task<std::expected<kv::KeyType, std::string>> RecordTypes::of(std::string family) {
  const auto known = types_.find(family);
  if (known != types_.end()) co_return known->second;
  if (!create_)
    co_return std::unexpected(
        fmt::format("there is no column family '{}'; --create-families makes it", family));
  const auto made = co_await store_.create_family(family);
  if (!made)
    co_return std::unexpected(fmt::format("column family '{}': {}", family, made.error().to_string()));
  co_return types_.emplace(std::move(family), made->key_type()).first->second;
}

}  // namespace ashlar::app

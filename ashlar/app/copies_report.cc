#include "ashlar/app/copies_report.h"

#include <algorithm>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "ashlar/app/json.h"
#include "ashlar/app/key_text.h"
#include "ashlar/base/units.h"

namespace ashlar::app {
namespace {

using lsm::BackupGeneration;
using lsm::Damage;
using lsm::LostTable;
using lsm::PartitionRepair;
using lsm::VerifyReport;

const char* name_of(Damage::Part part) {
  switch (part) {
    case Damage::Part::root: return "root record";
    case Damage::Part::store: return "blob store";
    case Damage::Part::manifest: return "manifest";
    case Damage::Part::log: return "log";
    case Damage::Part::table: return "table";
  }
  return "?";
}

std::string line_of(const PartitionRepair& part) {
  if (part.healthy) return fmt::format("whole, {} tables", part.tables);
  std::string text = fmt::format("repaired, {} tables", part.tables);
  if (part.manifest_rebuilt)
    text += fmt::format("; the manifest was rebuilt from the tables ({} merged)", part.tables_merged);
  if (part.log_salvaged) text += fmt::format("; {} records of the log were saved", part.records_salvaged);
  if (part.records_in_doubt != 0) text += fmt::format(", {} left out", part.records_in_doubt);
  return text;
}

std::string line_of(const LostTable& table) {
  std::string what = fmt::format("table {}", table.number);
  if (table.entries != 0)
    what += fmt::format(" ({} entries from '{}' to '{}')", table.entries,
                        key_text(as_bytes(table.smallest_key)), key_text(as_bytes(table.largest_key)));
  return fmt::format("{} is lost and set aside: {}", what, table.why.to_string());
}

Json as_json(const LostTable& table) {
  Json one = {{"number", table.number}, {"error", error_json(table.why)}};
  if (table.entries != 0) {
    one["entries"] = table.entries;
    one["smallest_key"] = key_text(as_bytes(table.smallest_key));
    one["largest_key"] = key_text(as_bytes(table.largest_key));
  }
  return one;
}

std::string time_text(std::uint64_t ms) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(ms / 1000)));
}

}  // namespace

std::string report_text(const std::string& name, const VerifyReport& report) {
  std::string text;
  for (const Damage& damage : report.damages) {
    const std::string where =
        damage.part == Damage::Part::root ? "" : fmt::format("partition {}, ", damage.partition);
    text += fmt::format("DAMAGED  {}{}: {}\n", where, name_of(damage.part), damage.error.to_string());
  }
  text += fmt::format("{}: {} partitions, {} tables with {} entries in {}, {} log records: ", name,
                      report.partitions, report.tables, report.entries, approximate_bytes(report.table_bytes),
                      report.log_records);
  text += report.damages.empty() ? "whole\n" : fmt::format("{} damages\n", report.damages.size());
  if (report.unreferenced_tables != 0)
    text += fmt::format("{} tables are not in use: the next open removes them\n", report.unreferenced_tables);
  if (report.quarantined_blobs != 0)
    text += fmt::format("{} blobs were set aside by a repair\n", report.quarantined_blobs);
  return text;
}

Json report_json(const std::string& name, const VerifyReport& report) {
  Json damages = Json::array();
  for (const Damage& damage : report.damages) {
    Json one = error_json(damage.error);
    one["part"] = name_of(damage.part);
    one["partition"] = damage.partition;
    damages.push_back(std::move(one));
  }
  return {{"data", name},
          {"whole", report.damages.empty()},
          {"partitions", report.partitions},
          {"tables", report.tables},
          {"table_bytes", report.table_bytes},
          {"entries", report.entries},
          {"log_records", report.log_records},
          {"unreferenced_tables", report.unreferenced_tables},
          {"quarantined_blobs", report.quarantined_blobs},
          {"damages", std::move(damages)}};
}

std::string report_text(const std::string& name, const std::vector<PartitionRepair>& report) {
  std::string text;
  for (const PartitionRepair& part : report) {
    text += fmt::format("{}: partition {}: {}\n", name, part.partition, line_of(part));
    for (const LostTable& table : part.lost)
      text += fmt::format("LOST     partition {}, {}\n", part.partition, line_of(table));
  }
  return text;
}

Json report_json(const std::string& name, const std::vector<PartitionRepair>& report) {
  Json partitions = Json::array();
  for (const PartitionRepair& part : report) {
    Json lost = Json::array();
    for (const LostTable& table : part.lost) lost.push_back(as_json(table));
    partitions.push_back({{"partition", part.partition},
                          {"healthy", part.healthy},
                          {"manifest_rebuilt", part.manifest_rebuilt},
                          {"log_salvaged", part.log_salvaged},
                          {"tables", part.tables},
                          {"tables_merged", part.tables_merged},
                          {"records_salvaged", part.records_salvaged},
                          {"records_left_out", part.records_in_doubt},
                          {"lost", std::move(lost)}});
  }
  return {{"data", name}, {"lost_something", lost_something(report)}, {"partitions", std::move(partitions)}};
}

bool lost_something(const std::vector<PartitionRepair>& report) {
  return std::ranges::any_of(
      report, [](const PartitionRepair& part) { return !part.lost.empty() || part.records_in_doubt != 0; });
}

std::string report_text(const std::vector<BackupGeneration>& generations, const std::vector<Error>& damages) {
  std::string text = fmt::format("{:>6}  {:<19}  {:>16}  {:>7}  {:>10}  {:>10}\n", "id", "taken (UTC)",
                                 "data set", "tables", "in all", "added");
  for (const BackupGeneration& one : generations) {
    text += fmt::format("{:>6}  {:<19}  {:016x}  {:>7}  {:>10}  {:>10}\n", one.number,
                        time_text(one.created_ms), one.directory_id, one.tables,
                        approximate_bytes(one.table_bytes), approximate_bytes(one.added_bytes));
  }
  for (const Error& damage : damages) text += fmt::format("DAMAGED  {}\n", damage.to_string());
  return text;
}

Json report_json(const std::vector<BackupGeneration>& generations, const std::vector<Error>& damages) {
  Json list = Json::array(), damaged = Json::array();
  for (const BackupGeneration& one : generations) {
    list.push_back({{"id", one.number},
                    {"created_ms", one.created_ms},
                    {"data_set", fmt::format("{:016x}", one.directory_id)},
                    {"sequence", one.at.value},
                    {"tables", one.tables},
                    {"table_bytes", one.table_bytes},
                    {"added_bytes", one.added_bytes}});
  }
  for (const Error& damage : damages) damaged.push_back(error_json(damage));
  return {{"generations", std::move(list)}, {"damages", std::move(damaged)}};
}

}  // namespace ashlar::app

#include "ashlar/app/dump_command.h"

#include <fmt/format.h>

#include "ashlar/app/data_command.h"
#include "ashlar/app/json.h"
#include "ashlar/app/key_text.h"
#include "ashlar/kv/lsm/batch.h"
#include "ashlar/kv/lsm/manifest_log.h"
#include "ashlar/kv/lsm/table_check.h"
#include "ashlar/kv/lsm/transaction_record.h"
#include "ashlar/kv/root_record.h"
#include "ashlar/log/recovery.h"

namespace ashlar::app {
namespace {

using lsm::Entry;

constexpr std::uint32_t root_number = 0, log_number = 0;

const char* name_of(kv::Kind kind) {
  switch (kind) {
    case kv::Kind::put: return "put";
    case kv::Kind::erase: return "erase";
    case kv::Kind::merge: return "merge";
    case kv::Kind::separated: return "separated";
    case kv::Kind::erase_range: return "erase_range";
    case kv::Kind::clear: return "clear";
  }
  return "?";
}

void print_line(const Json& object) {
  fmt::print("{}\n", object.line());
}

/// A member a line.
void print_members(const Json& object) {
  for (std::size_t i = 0; i < object.names().size(); ++i)
    fmt::print("{:<15}  {}\n", object.names()[i], object.at(i).plain());
}

/// Of an entry; `value` of an erased range is its end.
Json entry_json(const Entry& entry) {
  Json one = {{"kind", name_of(entry.kind)}, {"sequence", entry.sequence.value}};
  if (!entry.key.empty()) one["key"] = key_text(entry.key);
  if (entry.kind == kv::Kind::erase_range) {
    one["end"] = key_text(entry.value);
  } else if (entry.kind != kv::Kind::erase && entry.kind != kv::Kind::clear) {
    one["value"] = escaped(entry.value);
  }
  if (entry.expiry_ms != kv::no_expiry) one["expires_ms"] = entry.expiry_ms;
  return one;
}

std::string entry_text(const Entry& entry) {
  std::string text =
      fmt::format("{}\t{}\t{}", name_of(entry.kind), entry.sequence.value, key_text(entry.key));
  if (entry.kind == kv::Kind::erase_range) {
    text += fmt::format("\tto {}", key_text(entry.value));
  } else if (entry.kind != kv::Kind::erase && entry.kind != kv::Kind::clear) {
    text += '\t' + escaped(entry.value);
  }
  if (entry.expiry_ms != kv::no_expiry) text += fmt::format("\texpires {}", entry.expiry_ms);
  return text;
}

void dump_root(const kv::RootRecord& root, bool as_json) {
  const bool hashed = root.partitioner.scheme() == kv::Partitioner::Scheme::hash;
  Json families = Json::array();
  for (const kv::FamilyRecord& record : root.families)
    families.push_back({{"name", record.family.name},
                        {"number", record.family.number},
                        {"dropped", record.dropped},
                        {"merge_operator", record.family.options.merge_operator},
                        {"ttl_ms", record.family.options.ttl_ms}});
  Json boundaries = Json::array();
  for (const std::string& boundary : root.partitioner.boundaries())
    boundaries.push_back(escaped(as_bytes(boundary)));
  const Json all = {{"data_set", fmt::format("{:016x}", root.directory_id)},
                    {"created_ms", root.created_ms},
                    {"engine", root.engine},
                    {"partitions", root.partitioner.partitions()},
                    {"scheme", hashed ? "hash" : "range"},
                    {"boundaries", std::move(boundaries)},
                    {"merge_operator", root.merge_operator},
                    {"families", std::move(families)}};
  if (as_json) return print_line(all);
  print_members(all);
}

Json table_json(const lsm::TableMeta& table) {
  return {{"level", table.level},
          {"run", table.run},
          {"number", table.number},
          {"bytes", table.file_bytes},
          {"entries", table.entries},
          {"tombstones", table.tombstones},
          {"smallest_sequence", table.smallest_sequence.value},
          {"largest_sequence", table.largest_sequence.value},
          {"smallest_key", key_text(as_bytes(table.smallest_key))},
          {"largest_key", key_text(as_bytes(table.largest_key))}};
}

Task<Result<>> dump_manifest(blob::Store& blobs, bool as_json) {
  const lsm::ManifestState state = CO_TRY(co_await lsm::ManifestLog::read(blobs));
  Json head = {{"partition", state.partition},   {"next_number", state.next_number},
               {"flushed", state.flushed.value}, {"log_index", state.log_index},
               {"cleared", state.cleared.value}, {"last_sequence", state.last_sequence.value}};
  if (as_json) {
    head["tables"] = Json::array();
    for (const lsm::TableMeta* table : state.in_order()) head["tables"].push_back(table_json(*table));
    print_line(head);
    co_return Result<>{};
  }
  print_members(head);
  if (!state.tables.empty())
    fmt::print("\n{:>5} {:>6} {:>8} {:>12} {:>10} {:>10}  {}\n", "level", "run", "table", "bytes", "entries",
               "tombstones", "keys");
  for (const lsm::TableMeta* table : state.in_order())
    fmt::print("{:>5} {:>6} {:>8} {:>12} {:>10} {:>10}  {} … {}\n", table->level, table->run, table->number,
               table->file_bytes, table->entries, table->tombstones, key_text(as_bytes(table->smallest_key)),
               key_text(as_bytes(table->largest_key)));
  co_return Result<>{};
}

/// Ends a walk that has shown as much as was asked for.
constexpr Error enough{Errc::cancelled, 0, "enough", 0, 0};

Result<> unless_enough(Result<> result) {
  if (!result && result.error().code == Errc::cancelled) return {};
  return result;
}

class LogDump final : public wal::RecordVisitor {
 public:
  explicit LogDump(const DumpArguments& arguments) noexcept : arguments_(arguments) {}

  Result<> on_record(const wal::Record& record) override {
    if (arguments_.limit != 0 && ++shown_ > arguments_.limit) return std::unexpected(enough);
    Json line = {{"index", record.index},
                 {"segment", record.segment},
                 {"offset", record.offset},
                 {"sequence", record.header.sequence}};
    const ErrorPlace place{.object = record.segment, .offset = record.offset};
    Bytes batch = record.payload;
    kv::Sequence sequence{record.header.sequence};
    if (record.header.type != wal::RecordType::write) {
      const lsm::TransactionHead head = TRY(lsm::decode_transaction_head(record.payload, place));
      line["transaction"] = fmt::format("{:016x}", head.id.number);
      line["participants"] = Json::array();
      for (const kv::PartitionId id : head.participants) line["participants"].push_back(id.value);
      batch = head.rest;
      sequence = head.id.sequence;
      if (record.header.type == wal::RecordType::outcome) {
        line["outcome"] =
            TRY(lsm::decode_outcome(head, place)) == kv::Outcome::committed ? "committed" : "aborted";
        batch = {};
      }
    }
    return show(std::move(line), batch, sequence, place);
  }

 private:
  Result<> show(Json line, Bytes batch, kv::Sequence sequence, ErrorPlace place) const {
    if (arguments_.json) line["operations"] = Json::array();
    if (!arguments_.json) fmt::print("{}\n", line.line());
    lsm::BatchReader reader(batch, sequence, place);
    while (TRY(reader.next())) {
      if (arguments_.json) {
        line["operations"].push_back(entry_json(reader.entry()));
      } else {
        fmt::print("  {}\n", entry_text(reader.entry()));
      }
    }
    if (arguments_.json) print_line(line);
    return {};
  }

  const DumpArguments& arguments_;
  std::uint64_t shown_ = 0;
};

/// What an open would replay.
Task<Result<>> dump_log(blob::Store& blobs, const DumpArguments& arguments) {
  const lsm::ManifestState state = CO_TRY(co_await lsm::ManifestLog::read(blobs));
  LogDump dump(arguments);
  const auto read =
      co_await wal::recover(blobs, log_number, std::max<std::uint64_t>(state.log_index, 1), dump);
  co_return unless_enough(read ? Result<>{} : std::unexpected(read.error()));
}

class TableDump final : public lsm::EntryVisitor {
 public:
  explicit TableDump(const DumpArguments& arguments) noexcept : arguments_(arguments) {}

  Result<> on_entry(const Entry& entry, ErrorPlace) override {
    if (arguments_.limit != 0 && ++shown_ > arguments_.limit) return std::unexpected(enough);
    if (arguments_.json) {
      print_line(entry_json(entry));
    } else {
      fmt::print("{}\n", entry_text(entry));
    }
    return {};
  }

 private:
  const DumpArguments& arguments_;
  std::uint64_t shown_ = 0;
};

Task<Result<>> dump_table(blob::Store& blobs, const DumpArguments& arguments) {
  TableDump dump(arguments);
  const auto checked = co_await lsm::check_table(blobs, arguments.partition, arguments.table, nullptr, &dump);
  co_return unless_enough(checked ? Result<>{} : std::unexpected(checked.error()));
}

Task<Result<>> dump_opened(const DumpArguments& arguments, blob::Home& home, blob::Store& root) {
  const auto stored = CO_TRY(co_await root.read_root(root_number));
  if (!stored) co_return fail(Errc::not_found, "root record: no data set");
  const kv::RootRecord record = CO_TRY(kv::RootRecord::decode(*stored));
  if (arguments.part == "root") {
    dump_root(record, arguments.json);
    co_return Result<>{};
  }
  if (arguments.partition >= record.partitioner.partitions())
    co_return fail(Errc::not_found, "partition", {.object = arguments.partition});
  const auto blobs = CO_TRY(co_await home.open_partition(arguments.partition));
  Result<> done = arguments.part == "manifest" ? co_await dump_manifest(*blobs, arguments.json)
                  : arguments.part == "log"    ? co_await dump_log(*blobs, arguments)
                                               : co_await dump_table(*blobs, arguments);
  const Result<> closed = co_await blobs->close();
  co_return done ? closed : done;
}

Task<int> dump(const DumpArguments* arguments, const Settings* settings) {
  const auto data = co_await find_home(arguments->data, settings, Expect::something);
  if (!data) co_return data.error();
  auto root = co_await data->home->open_root();
  Result<> done =
      root ? co_await dump_opened(*arguments, *data->home, **root) : std::unexpected(root.error());
  if (root) {
    const Result<> closed = co_await (*root)->close();
    if (done) done = closed;
  }
  co_await data->home->close();
  if (done) co_return 0;
  (void)say_failed(data->name, done.error().to_string());
  co_return done.error().code == Errc::corrupt ? exit_damaged : 1;
}

}  // namespace

int dump_data(const DumpArguments& arguments, const Settings& settings) {
  return run_command(settings.runtime, 1, [&](unsigned) { return dump(&arguments, &settings); });
}

}  // namespace ashlar::app

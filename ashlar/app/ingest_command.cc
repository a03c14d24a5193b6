#include "ashlar/app/ingest_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "ashlar/app/data_command.h"
#include "ashlar/app/key_text.h"
#include "ashlar/app/record_file.h"
#include "ashlar/base/units.h"
#include "ashlar/kv/lsm/ingest.h"

namespace ashlar::app {
namespace {

struct Context {
  const IngestArguments& arguments;
  const Settings& settings;
  RecordFormat format;
};

/// A record that is to be stored, and the line it was on.
struct Line {
  std::uint64_t number;
  kv::StoredKey key;
  std::string value;
  std::uint64_t expires_ms;
};

/// Routes records to an ingest of each partition. `Why` is the line that says what is wrong, or nothing.
using Why = std::optional<std::string>;

class Ingest {
 public:
  Ingest(const Context& context, lsm::LsmStore& store)
      : arguments_(context.arguments),
        store_(store),
        types_(store, context.arguments.create_families),
        parts_(store.partitions()) {}

  const lsm::IngestReport& total() const noexcept { return total_; }
  std::uint32_t committed() const noexcept { return committed_; }

  /// Nothing is in the store yet.
  Task<Why> take_all(RecordReader& reader) {
    for (Record record;;) {
      const auto more = reader.next(record);
      if (!more) co_return text_of(more.error());
      if (!*more) break;
      const auto type = co_await types_.of(record.family);
      if (!type) co_return fmt::format("line {}: {}", reader.line(), type.error());
      Line line{reader.line(), store_.stored(as_bytes(record.key), *type), std::move(record.value),
                record.expires_ms};
      if (arguments_.sort) {
        lines_.push_back(std::move(line));
      } else if (const Why why = co_await add(line)) {
        co_return why;
      }
    }
    std::ranges::sort(lines_, [](const Line& a, const Line& b) {
      const int order = compare(a.key.bytes(), b.key.bytes());
      return order != 0 ? order < 0 : a.number < b.number;
    });
    for (const Line& line : lines_) {
      if (const Why why = co_await add(line)) co_return why;
    }
    co_return std::nullopt;
  }

  Task<Why> commit() {
    total_.tables_by_level.resize(lsm::level_count);
    for (std::size_t id = 0; id < parts_.size(); ++id) {
      if (parts_[id] == nullptr) continue;
      const auto done = co_await parts_[id]->commit();
      parts_[id].reset();
      if (!done) co_return fmt::format("partition {}: {}", id, done.error().to_string());
      ++committed_;
      total_.entries += done->entries;
      total_.tables += done->tables;
      total_.table_bytes += done->table_bytes + done->value_table_bytes;
      for (std::size_t level = 0; level < lsm::level_count; ++level)
        total_.tables_by_level[level] += done->tables_by_level[level];
    }
    co_return std::nullopt;
  }

  Task<> abandon() {
    for (auto& part : parts_) {
      if (part != nullptr) co_await part->abandon();
      part.reset();
    }
  }

 private:
  Task<Why> add(const Line& line) {
    const kv::PartitionId id = store_.partition_of(line.key);
    std::unique_ptr<lsm::PartitionIngest>& part = parts_[id.value];
    if (part == nullptr) {
      auto begun = lsm::PartitionIngest::begin(store_.partition(id));
      if (!begun) co_return fmt::format("partition {}: {}", id.value, begun.error().to_string());
      part = *std::move(begun);
    }
    const auto added = co_await part->add(line.key.bytes(), as_bytes(line.value), line.expires_ms);
    if (added) co_return std::nullopt;
    if (added.error().code != Errc::conflict)
      co_return fmt::format("line {}: {}", line.number, added.error().to_string());
    const std::string key = key_text(line.key.bytes()), before = key_text(part->last_key());
    if (key == before) co_return fmt::format("line {}: '{}' is there a second time", line.number, key);
    co_return fmt::format(
        "line {}: '{}' comes after '{}', which is not the order of storage; --sort puts it right",
        line.number, key, before);
  }

  const IngestArguments& arguments_;
  lsm::LsmStore& store_;
  RecordTypes types_;
  std::vector<std::unique_ptr<lsm::PartitionIngest>> parts_;  // by partition; null: nothing for it so far
  std::vector<Line> lines_;                                   // to be sorted
  lsm::IngestReport total_;
  std::uint32_t committed_ = 0;
};

Task<int> ingest_into(const Context* context, const std::string& name, lsm::LsmStore* store) {
  const std::string& from = context->arguments.file;
  auto file = InputFile::open(from);
  if (!file) co_return say_failed(from, file.error().to_string());
  const auto reader = read_records(context->format, [&](MutableBytes into) { return file->read(into); });
  Ingest ingest(*context, *store);
  Why why = co_await ingest.take_all(*reader);
  const bool read = !why;
  if (read) why = co_await ingest.commit();
  if (why) {
    co_await ingest.abandon();
    if (read && ingest.committed() != 0)
      co_return say_failed(
          name, fmt::format("{}; {} partitions before it have their records", *why, ingest.committed()));
    co_return say_failed(from, *why + "; nothing was ingested");
  }
  std::string levels;
  for (std::size_t level = 0; level < lsm::level_count; ++level) {
    if (const std::uint64_t tables = ingest.total().tables_by_level[level])
      levels += fmt::format(", {} on level {}", tables, level);
  }
  fmt::print("{}: {} records in {} tables, {}{}\n", from, ingest.total().entries, ingest.total().tables,
             approximate_bytes(ingest.total().table_bytes), levels);
  co_return 0;
}

Task<int> run_ingest(const Context* context) {
  const IngestArguments& arguments = context->arguments;
  auto data = co_await open_data(arguments.data, &context->settings,
                                 arguments.create ? Expect::anything : Expect::something);
  if (!data) co_return data.error();
  const int status = co_await ingest_into(context, data->name, data->store.get());
  co_return co_await close_data(*std::move(data), status);
}

Task<Result<>> compact_each(lsm::LsmStore& store) {
  for (std::uint16_t id = 0; id < store.partitions(); ++id) {
    lsm::LsmPartition& partition = store.partition(kv::PartitionId{id});
    const kv::PartitionStats before = partition.stats();
    CO_TRY(co_await partition.compact_all());
    const kv::PartitionStats after = partition.stats();
    fmt::print("partition {}: {} entries in {} became {} in {} tables, {}\n", id, before.table_entries,
               approximate_bytes(before.table_bytes + before.value_table_bytes), after.table_entries,
               after.table_count, approximate_bytes(after.table_bytes + after.value_table_bytes));
  }
  co_return Result<>{};
}

Task<int> run_compact(const std::string* place, const Settings* settings) {
  auto data = co_await open_data(*place, settings);
  if (!data) co_return data.error();
  const Result<> done = co_await compact_each(*data->store);
  const int status = done ? 0 : say_failed(data->name, done.error());
  co_return co_await close_data(*std::move(data), status);
}

}  // namespace

int ingest_data(const IngestArguments& arguments, const Settings& settings) {
  const auto format = format_of_file(arguments.file, arguments.format);
  if (!format) return say_unknown_format(arguments.file);
  const Context context{arguments, settings, *format};
  return run_command(settings.runtime, 1, [&](unsigned) { return run_ingest(&context); });
}

int compact_data(const std::string& data, const Settings& settings) {
  return run_command(settings.runtime, 1, [&](unsigned) { return run_compact(&data, &settings); });
}

}  // namespace ashlar::app

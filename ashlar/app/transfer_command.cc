#include "ashlar/app/transfer_command.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <vector>

#include "ashlar/app/data_command.h"
#include "ashlar/app/record_file.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::app {
namespace {

constexpr std::size_t output_bytes = 1u << 20;  // written at once
constexpr std::size_t batch_records = 4096;
constexpr std::size_t batch_bytes = 4u << 20;

struct Context {
  const TransferArguments& arguments;
  const Settings& settings;
  RecordFormat format;
};

/// One type of key, and what its records are called.
struct Source {
  std::uint8_t type;
  std::string family;
};

class Export {
 public:
  Export(const Context& context, lsm::LsmStore& store, OutputFile file)
      : arguments_(context.arguments), format_(context.format), store_(store), file_(std::move(file)) {}

  Task<Result<std::uint64_t>> run(std::vector<Source> sources) {
    text_ = header_of(format_);
    for (const Source& source : sources) {
      for (std::uint32_t id = 0; id < store_.partitions(); ++id)
        CO_TRY(co_await copy(source, kv::PartitionId{static_cast<std::uint16_t>(id)}));
    }
    CO_TRY(file_.write(text_));
    CO_TRY(file_.finish());
    co_return count_;
  }

 private:
  kv::KeyRange range_of(std::uint8_t type) const {
    if (store_.partitioner().scheme() != kv::Partitioner::Scheme::range) return kv::type_range(type);
    return kv::user_key_range(type, as_bytes(arguments_.from), as_bytes(arguments_.to));
  }

  bool wanted(std::string_view key) const noexcept {
    return key.starts_with(arguments_.prefix) && compare(as_bytes(key), as_bytes(arguments_.from)) >= 0 &&
           (arguments_.to.empty() || compare(as_bytes(key), as_bytes(arguments_.to)) < 0);
  }

  Task<Result<>> copy(const Source& source, kv::PartitionId id) {
    const kv::KeyRange range = range_of(source.type);
    const auto cursor =
        store_.partition(id).scan({.first = as_bytes(range.first), .last = as_bytes(range.end), .read = {}});
    Record record{.family = source.family, .key = {}, .value = {}};
    while (CO_TRY(co_await cursor->next())) {
      const kv::Cursor::Item& item = cursor->item();
      const std::string_view key = as_text(kv::user_key_of_stored(item.key));
      if (!wanted(key)) continue;
      record.key = key;
      record.value = as_text(item.value);
      record.expires_ms = item.expiry_ms;
      append_record(text_, format_, record);
      ++count_;
      if (text_.size() < output_bytes) continue;
      CO_TRY(file_.write(text_));
      text_.clear();
    }
    co_return Result<>{};
  }

  const TransferArguments& arguments_;
  RecordFormat format_;
  lsm::LsmStore& store_;
  OutputFile file_;
  std::string text_;
  std::uint64_t count_ = 0;
};

/// The store's own keys and those of every column family, in order of their numbers; or of one.
std::vector<Source> sources_of(const lsm::LsmStore& store, const std::string& only) {
  std::map<std::uint8_t, std::string> types;
  if (only.empty()) types[static_cast<std::uint8_t>(kv::KeyType::value)] = "";
  for (const kv::Family& family : store.families()) {
    if (only.empty() || only == family.name)
      types[static_cast<std::uint8_t>(family.key_type())] = family.name;
  }
  std::vector<Source> sources;
  for (const auto& [type, name] : types) sources.push_back({type, name});
  return sources;
}

Task<int> export_from(const Context* context, const std::string& name, lsm::LsmStore* store) {
  const TransferArguments& arguments = context->arguments;
  std::vector<Source> sources = sources_of(*store, arguments.family);
  if (sources.empty()) co_return say_failed(name, fmt::format("no column family '{}'", arguments.family));
  const std::string to = arguments.file.empty() ? "standard output" : arguments.file;
  auto file = OutputFile::create(arguments.file);
  if (!file) co_return say_failed(to, file.error().to_string());
  Export work(*context, *store, *std::move(file));
  const auto count = co_await work.run(std::move(sources));
  if (!count) co_return say_failed(fmt::format("{} to {}", name, to), count.error());
  if (!arguments.file.empty()) fmt::print("{}: {} records\n", to, *count);
  co_return 0;
}

Task<int> run_export(const Context* context) {
  auto data = co_await open_data(context->arguments.data, &context->settings);
  if (!data) co_return data.error();
  const int status = co_await export_from(context, data->name, data->store.get());
  co_return co_await close_data(*std::move(data), status);
}

/// Puts records, a batch for each partition at once.
class Import {
 public:
  Import(lsm::LsmStore& store, bool create_families)
      : store_(store), types_(store, create_families), pending_(store.partitions()) {}

  /// Records that are durable.
  std::uint64_t count() const noexcept { return count_; }

  /// The error is one line.
  Task<std::expected<void, std::string>> add(Record record) {
    const auto type = co_await types_.of(record.family);
    if (!type) co_return std::unexpected(type.error());
    const std::size_t bytes = record.key.size() + record.value.size();
    if (records_ == batch_records || (records_ != 0 && bytes_ + bytes > batch_bytes)) {
      if (const Result<> flushed = co_await flush(); !flushed)
        co_return std::unexpected(flushed.error().to_string());
    }
    kv::StoredKey key = store_.stored(as_bytes(record.key), *type);
    pending_[store_.partition_of(key).value].push_back(
        {std::move(key), std::move(record.value), record.expires_ms});
    ++records_;
    bytes_ += bytes;
    co_return std::expected<void, std::string>();
  }

  Task<Result<>> flush() {
    std::vector<Task<Result<>>> writing;
    for (std::size_t id = 0; id < pending_.size(); ++id) {
      if (!pending_[id].empty()) writing.push_back(write(id));
    }
    const std::size_t records = std::exchange(records_, 0);
    bytes_ = 0;
    for (const Result<>& written : co_await when_all(std::move(writing))) CO_TRY(written);
    count_ += records;
    co_return Result<>{};
  }

 private:
  struct Pending {
    kv::StoredKey key;
    std::string value;
    std::uint64_t expires_ms;
  };

  Task<Result<>> write(std::size_t id) {
    const std::vector<Pending> batch = std::exchange(pending_[id], {});
    std::vector<kv::Write> writes;
    for (const Pending& one : batch)
      writes.push_back({.key = &one.key, .value = as_bytes(one.value), .expiry_ms = one.expires_ms});
    CO_TRY(co_await store_.partition(kv::PartitionId{static_cast<std::uint16_t>(id)}).write(writes));
    co_return Result<>{};
  }

  lsm::LsmStore& store_;
  RecordTypes types_;
  std::vector<std::vector<Pending>> pending_;  // by partition
  std::size_t records_ = 0, bytes_ = 0;        // pending
  std::uint64_t count_ = 0;
};

/// Why an import ends before the end of its file, or nothing.
Task<std::optional<std::string>> import_records(RecordReader& reader, Import& import) {
  for (Record record;;) {
    const auto more = reader.next(record);
    if (!more) co_return text_of(more.error());
    if (!*more) co_return std::nullopt;
    const auto added = co_await import.add(std::move(record));
    if (!added) co_return fmt::format("line {}: {}", reader.line(), added.error());
  }
}

Task<int> import_into(const Context* context, lsm::LsmStore* store) {
  const TransferArguments& arguments = context->arguments;
  auto file = InputFile::open(arguments.file);
  if (!file) co_return say_failed(arguments.file, file.error().to_string());
  const auto reader = read_records(context->format, [&](MutableBytes into) { return file->read(into); });
  Import import(*store, arguments.create_families);
  std::optional<std::string> bad = co_await import_records(*reader, import);
  if (const Result<> flushed = co_await import.flush(); !flushed && !bad) bad = flushed.error().to_string();
  if (bad)
    co_return say_failed(arguments.file, fmt::format("{}; {} records were imported", *bad, import.count()));
  fmt::print("{}: {} records\n", arguments.file, import.count());
  co_return 0;
}

Task<int> run_import(const Context* context) {
  const TransferArguments& arguments = context->arguments;
  auto data = co_await open_data(arguments.data, &context->settings,
                                 arguments.create ? Expect::anything : Expect::something);
  if (!data) co_return data.error();
  const int status = co_await import_into(context, data->store.get());
  co_return co_await close_data(*std::move(data), status);
}

int run(const TransferArguments& arguments, const Settings& settings, Task<int> (*command)(const Context*)) {
  const auto format = format_of_file(arguments.file, arguments.format);
  if (!format) return say_unknown_format(arguments.file);
  const Context context{arguments, settings, *format};
  return run_command(settings.runtime, 1, [&](unsigned) { return command(&context); });
}

}  // namespace

int export_data(const TransferArguments& arguments, const Settings& settings) {
  return run(arguments, settings, &run_export);
}

int import_data(const TransferArguments& arguments, const Settings& settings) {
  return run(arguments, settings, &run_import);
}

}  // namespace ashlar::app

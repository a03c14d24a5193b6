#include "ashlar/app/kv_tool.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "ashlar/base/units.h"
#include "ashlar/kv/lsm/store.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar::app {
namespace {

/// What the commands share. Outlives them; one shard hosts every partition, so that none is a message away.
struct Context {
  const CommandLine& line;
  lsm::LsmStore& store;
  bool absent = false;
};

Result<kv::StoredKey> stored(Context& context, const std::string& key) {
  if (key.size() > kv::user_key_bytes_max) return fail(Errc::too_large, "key");
  return context.store.stored(as_bytes(key));
}

void print_bytes(Bytes bytes) {
  std::fwrite(bytes.data(), 1, bytes.size(), stdout);
}

/// One field of a line: tabs, line ends, backslashes and what is not ASCII are escaped as in C.
std::string escaped(Bytes bytes) {
  std::string text;
  for (const char c : as_text(bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\')
      text += "\\\\";
    else if (byte >= 0x20 && byte < 0x7f)
      text += c;
    else
      text += fmt::format("\\x{:02x}", byte);
  }
  return text;
}

Task<Result<>> get(Context* context) {
  const kv::StoredKey key = CO_TRY(stored(*context, context->line.key));
  const auto value = CO_TRY(co_await context->store.partition_for(key).get(key));
  context->absent = !value;
  if (value) {
    print_bytes(value->bytes);
    fmt::print("\n");
  }
  co_return Result<>();
}

Task<Result<>> put(Context* context) {
  const CommandLine& line = context->line;
  if (line.value.size() > kv::value_bytes_max) co_return fail(Errc::too_large, "value");
  const kv::StoredKey key = CO_TRY(stored(*context, line.key));
  const kv::Ticket ticket =
      CO_TRY(context->store.partition_for(key).append({.key = &key, .value = as_bytes(line.value)}));
  co_return co_await ticket;
}

Task<Result<>> del(Context* context) {
  std::uint64_t deleted = 0;
  for (const std::string& text : context->line.keys) {
    const kv::StoredKey key = CO_TRY(stored(*context, text));
    kv::Partition& partition = context->store.partition_for(key);
    if (!CO_TRY(co_await partition.get(key))) continue;
    const kv::Ticket ticket = CO_TRY(partition.append({.key = &key, .value = {}, .kind = kv::Kind::erase}));
    CO_TRY(co_await ticket);
    ++deleted;
  }
  fmt::print("{} deleted\n", deleted);
  co_return Result<>();
}

/// In the order of storage: partitions in turn, by slot and then by key within each.
Task<Result<>> scan(Context* context) {
  const CommandLine& line = context->line;
  const std::uint32_t partitions = context->store.partitions();
  // Top-level keys of every slot.
  const std::byte first[] = {static_cast<std::byte>(kv::KeyType::value)};
  const std::byte last[] = {static_cast<std::byte>(kv::KeyType::element)};
  std::uint64_t printed = 0;
  for (std::uint32_t i = 0; i < partitions; ++i) {
    const auto id = static_cast<std::uint16_t>(line.reverse ? partitions - 1 - i : i);
    const auto cursor =
        context->store.partition(kv::PartitionId{id})
            .scan({.first = first,
                   .last = last,
                   .direction = line.reverse ? kv::Direction::backward : kv::Direction::forward,
                   .read = {}});
    while (CO_TRY(co_await cursor->next())) {
      const Bytes key = kv::user_key_of_stored(cursor->item().key);
      if (compare(key, as_bytes(line.from)) < 0) continue;
      if (!line.to.empty() && compare(key, as_bytes(line.to)) >= 0) continue;
      fmt::print("{}\t{}\n", escaped(key), escaped(cursor->item().value));
      if (++printed == line.limit) co_return Result<>();
    }
  }
  co_return Result<>();
}

Task<Result<>> stats(Context* context) {
  const kv::StoreDescription description = context->store.describe();
  constexpr const char* reads[] = {"eventual", "session", "causal", "strong"};
  fmt::print("engine {}, {} partitions by {}, reads {}\n", description.engine, description.partitions,
             description.scheme == kv::Partitioner::Scheme::hash ? "hash" : "range",
             reads[static_cast<std::size_t>(description.reads)]);
  for (std::uint32_t id = 0; id < description.partitions; ++id) {
    const kv::PartitionId partition{static_cast<std::uint16_t>(id)};
    const kv::PartitionStats figures = context->store.partition(partition).stats();
    fmt::print("partition {}: {} tables with {} entries in {}, memtable {} entries in {}, log {}\n", id,
               figures.table_count, figures.table_entries, approximate_bytes(figures.table_bytes),
               figures.memtable_entries, approximate_bytes(figures.memtable_bytes),
               approximate_bytes(figures.log_bytes));
    for (std::size_t level = 0; level < figures.levels.size(); ++level) {
      const kv::LevelStats& at = figures.levels[level];
      if (at.tables == 0) continue;
      fmt::print("  level {}: {} tables in {} runs, {}\n", level, at.tables, at.runs,
                 approximate_bytes(at.bytes));
    }
    fmt::print("  space amplification {:.2f}, compaction lags behind by {}\n", figures.space_amplification(),
               approximate_bytes(figures.compaction_debt_bytes));
  }
  co_return Result<>();
}

Task<Result<>> run_command(Context* context) {
  switch (context->line.command) {
    case Command::kv_get: return get(context);
    case Command::kv_put: return put(context);
    case Command::kv_del: return del(context);
    case Command::kv_scan: return scan(context);
    default: return stats(context);
  }
}

Task<Result<>> run_on(DataLocation location, lsm::LsmOptions options, const CommandLine* line, bool* absent,
                      std::string* said) {
  auto home = co_await open_home(std::move(location), options);
  if (!home) {
    *said = home.error();
    co_return fail(Errc::not_found, "data");
  }
  const auto store = CO_TRY(co_await lsm::LsmStore::open(*std::move(home), options, 1));
  Context context{*line, *store};
  const Result<> done = co_await run_command(&context);
  const Result<> closed = co_await store->close();
  *absent = context.absent;
  co_return done ? closed : done;
}

}  // namespace

int run_kv(const CommandLine& line, const Settings& settings, const DataLocation& location) {
  // Opening creates what is missing. Here a missing directory is a mistyped one.
  std::error_code error;
  const std::string& directory = location.directory;
  if (!location.on_device() && (!std::filesystem::is_directory(directory, error) ||
                                std::filesystem::is_empty(directory, error) || error)) {
    fmt::print(stderr, "ashlar: {} is no data directory; `ashlar serve` makes one\n", directory);
    return 1;
  }
  RuntimeOptions options = settings.runtime;
  options.shards = 1;
  options.pin = false;
  Runtime runtime(options);
  bool absent = false;
  std::string said;
  const Result<> result =
      runtime.run([&](Shard&) { return run_on(location, settings.engine, &line, &absent, &said); });
  if (!said.empty()) {
    fmt::print(stderr, "ashlar: {}\n", said);
  } else if (!result) {
    const bool held = result.error().code == Errc::busy;
    fmt::print(stderr, "ashlar: {}: {}{}\n", location.name(), result.error(),
               held ? "; does a server hold it?" : "");
  }
  return result && !absent ? 0 : 1;
}

}  // namespace ashlar::app

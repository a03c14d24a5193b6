#include "ashlar/app/kv_tool.h"

#include <fmt/format.h>

#include <cstdio>

#include "ashlar/app/data_command.h"
#include "ashlar/app/json.h"
#include "ashlar/app/key_text.h"
#include "ashlar/base/units.h"

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

void print_partition(std::uint64_t id, const kv::PartitionStats& figures) {
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
  if (figures.value_table_count != 0) {
    fmt::print("  {} value tables, {}, of which {} alive\n", figures.value_table_count,
               approximate_bytes(figures.value_table_bytes), approximate_bytes(figures.live_value_bytes));
  }
  fmt::print("  space amplification {:.2f}, compaction lags behind by {}\n", figures.space_amplification(),
             approximate_bytes(figures.compaction_debt_bytes));
}

Json json_of(std::uint64_t id, const kv::PartitionStats& figures) {
  Json levels = Json::array();
  for (std::uint64_t level = 0; level < figures.levels.size(); ++level) {
    const kv::LevelStats& at = figures.levels[level];
    if (at.tables == 0) continue;
    levels.push_back({{"level", level}, {"runs", at.runs}, {"tables", at.tables}, {"bytes", at.bytes}});
  }
  return {{"partition", id},
          {"tables", figures.table_count},
          {"table_entries", figures.table_entries},
          {"table_bytes", figures.table_bytes},
          {"value_tables", figures.value_table_count},
          {"value_table_bytes", figures.value_table_bytes},
          {"live_value_bytes", figures.live_value_bytes},
          {"memtable_entries", figures.memtable_entries},
          {"memtable_bytes", figures.memtable_bytes},
          {"log_bytes", figures.log_bytes},
          {"compaction_debt_bytes", figures.compaction_debt_bytes},
          {"levels", std::move(levels)}};
}

Task<Result<>> stats(Context* context) {
  const kv::StoreDescription description = context->store.describe();
  constexpr const char* reads_of[] = {"eventual", "session", "causal", "strong"};
  const char* const reads = reads_of[static_cast<std::size_t>(description.reads)];
  const char* const scheme = description.scheme == kv::Partitioner::Scheme::hash ? "hash" : "range";
  const bool json = context->line.json;
  Json partitions = Json::array();
  if (!json)
    fmt::print("engine {}, {} partitions by {}, reads {}\n", description.engine, description.partitions,
               scheme, reads);
  for (std::uint32_t id = 0; id < description.partitions; ++id) {
    const kv::PartitionId partition{static_cast<std::uint16_t>(id)};
    const kv::PartitionStats figures = context->store.partition(partition).stats();
    if (json) {
      partitions.push_back(json_of(id, figures));
    } else {
      print_partition(id, figures);
    }
  }
  if (json) {
    const Json all = {{"engine", std::string(description.engine)},
                      {"scheme", scheme},
                      {"reads", reads},
                      {"partitions", std::move(partitions)}};
    fmt::print("{}", all.text());
  }
  co_return Result<>();
}

Task<Result<>> run_command_of(Context* context) {
  switch (context->line.command) {
    case Command::kv_get: return get(context);
    case Command::kv_put: return put(context);
    case Command::kv_del: return del(context);
    case Command::kv_scan: return scan(context);
    default: return stats(context);
  }
}

Task<int> run_on(const CommandLine* line, const Settings* settings) {
  auto data = co_await open_data(line->data.empty() ? settings->data.location : line->data, settings);
  if (!data) co_return data.error();
  Context context{*line, *data->store};
  const Result<> done = co_await run_command_of(&context);
  const int status = done ? context.absent : say_failed(data->name, done.error());
  co_return co_await close_data(*std::move(data), status);
}

}  // namespace

int run_kv(const CommandLine& line, const Settings& settings) {
  return run_command(settings.runtime, 1, [&](unsigned) { return run_on(&line, &settings); });
}

}  // namespace ashlar::app

/// INFO: figures of all shards together, in the sections and under the names that Redis' tools read.

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/runtime/memory/locked_memory.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/server/resp/handlers.h"
#include "ashlar/server/resp/keyspace.h"
#include "ashlar/server/resp/service.h"
#include "ashlar/server/resp/set_options.h"
#include "ashlar/server/resp/version.h"

namespace ashlar::resp {
namespace {

/// Sums over all shards.
struct Totals {
  ServiceStats service;
  std::size_t buffered_bytes = 0;
  std::array<std::uint64_t, purpose_count> memory_bytes{};
  std::uint64_t entries = 0;  // of all partitions: versions, an upper bound of the keys
  kv::PartitionStats store;
  bool stopped = false;
  std::vector<std::unique_ptr<RingStats>> rings{io_role_count};  // by role; null where no shard has one
};

void add_stats(ServiceStats& sum, const ServiceStats& more) {
  sum.connections += more.connections;
  sum.rejected_connections += more.rejected_connections;
  sum.commands += more.commands;
  sum.error_replies += more.error_replies;
  sum.input_bytes += more.input_bytes;
  sum.output_bytes += more.output_bytes;
  sum.keys.hits += more.keys.hits;
  sum.keys.misses += more.keys.misses;
}

/// What a shard adds to the sums. Runs on it.
void add_shard(Totals& totals, Service& service) {
  add_stats(totals.service, service.stats());
  totals.buffered_bytes += service.buffered_bytes;
  for (std::size_t i = 0; i < purpose_count; ++i) {
    totals.memory_bytes[i] += Shard::current().memory().used_bytes(static_cast<Purpose>(i));
  }
  for (unsigned role = 0; role < io_role_count; ++role) {
    const RingStats* const ring = Shard::current().rings().stats(static_cast<IoRole>(role));
    if (ring == nullptr) continue;
    if (totals.rings[role] == nullptr) totals.rings[role] = std::make_unique<RingStats>();
    totals.rings[role]->merge(*ring);
  }
  for (const Place& place : service.places()) {
    if (place.home != service.shard()) continue;
    const kv::PartitionStats stats = place.partition->stats();
    totals.store.memtable_bytes += stats.memtable_bytes;
    totals.store.table_count += stats.table_count;
    totals.store.table_bytes += stats.table_bytes;
    totals.store.value_table_count += stats.value_table_count;
    totals.store.value_table_bytes += stats.value_table_bytes;
    totals.store.live_value_bytes += stats.live_value_bytes;
    totals.store.moved_value_bytes += stats.moved_value_bytes;
    totals.store.log_bytes += stats.log_bytes;
    totals.store.writes += stats.writes;
    totals.store.write_bytes += stats.write_bytes;
    totals.store.reads += stats.reads;
    totals.store.reads_from_device += stats.reads_from_device;
    totals.store.flushes += stats.flushes;
    totals.store.compactions += stats.compactions;
    totals.store.log_write_bytes += stats.log_write_bytes;
    totals.store.flush_bytes += stats.flush_bytes;
    totals.store.compaction_bytes += stats.compaction_bytes;
    totals.store.compaction_read_bytes += stats.compaction_read_bytes;
    totals.store.compaction_parts += stats.compaction_parts;
    totals.store.helped_parts += stats.helped_parts;
    totals.store.compaction_debt_bytes += stats.compaction_debt_bytes;
    totals.store.compactions_running += stats.compactions_running;
    totals.store.compaction_stuck |= stats.compaction_stuck;
    totals.store.delayed_writes += stats.delayed_writes;
    totals.store.longest_delay_ns = std::max(totals.store.longest_delay_ns, stats.longest_delay_ns);
    totals.store.longest_stall_ns = std::max(totals.store.longest_stall_ns, stats.longest_stall_ns);
    totals.store.longest_log_wait_ns = std::max(totals.store.longest_log_wait_ns, stats.longest_log_wait_ns);
    for (std::size_t level = 0; level < stats.levels.size(); ++level)
      totals.store.levels[level].bytes += stats.levels[level].bytes;
    totals.store.stalls += stats.stalls;
    totals.store.moves += stats.moves;
    totals.store.failed_jobs += stats.failed_jobs;
    if (stats.flush_error) totals.store.flush_error = stats.flush_error;
    if (stats.compaction_error) totals.store.compaction_error = stats.compaction_error;
    totals.entries += stats.memtable_entries + stats.table_entries;
    totals.stopped |= place.partition->stop_reason().has_value();
  }
}

using Lines = std::back_insert_iterator<std::string>;

/// Of a kind of background job: "ok", or why it is being repeated.
std::string status_text(const std::optional<Error>& error) {
  return error ? error->to_string() : std::string("ok");
}

void server_section(Lines to, Service& service) {
  const Cluster& cluster = service.cluster();
  const std::uint64_t now_ms = Shard::current().backend().wall_ms();
  const std::uint64_t uptime_s = (now_ms - std::min(now_ms, cluster.started_wall_ms)) / 1000;
  fmt::format_to(to,
                 "redis_version:{}\r\nredis_mode:standalone\r\nserver_name:ashlar\r\narch_bits:64\r\n"
                 "multiplexing_api:{}\r\nprocess_id:{}\r\nrun_id:{}\r\ntcp_port:{}\r\n"
                 "server_time_usec:{}\r\nuptime_in_seconds:{}\r\nuptime_in_days:{}\r\nshards:{}\r\n"
                 "storage_engine:{}\r\npartitions:{}\r\n",
                 redis_version, Shard::current().backend().name(), ::getpid(), cluster.run_id, cluster.port,
                 now_ms * 1000, uptime_s, uptime_s / 86'400, service.shards(),
                 service.store().describe().engine, service.places().size());
}

void clients_section(Lines to, Service& service, const Totals& totals) {
  fmt::format_to(to,
                 "connected_clients:{}\r\nmaxclients:{}\r\nclient_buffered_bytes:{}\r\nblocked_clients:0\r\n",
                 service.cluster().clients.load(std::memory_order_relaxed), service.options().clients_max,
                 totals.buffered_bytes);
}

void memory_section(Lines to, const Totals& totals) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const std::uint64_t used_bytes = ::mallinfo2().uordblks;
  fmt::format_to(to,
                 "used_memory:{}\r\nused_memory_human:{:.2f}M\r\nused_memory_rss_peak:{}\r\n"
                 "memtable_bytes:{}\r\nmaxmemory:{}\r\nmaxmemory_policy:noeviction\r\n",
                 used_bytes, static_cast<double>(used_bytes) / (1 << 20),
                 static_cast<std::uint64_t>(usage.ru_maxrss) * 1024, totals.store.memtable_bytes,
                 Shard::current().memory().cap().cap_bytes());
  const MemoryCap& cap = Shard::current().memory().cap();
  fmt::format_to(to, "used_memory_charged:{}\r\nused_memory_charged_peak:{}\r\nlocked_memory_bytes:{}\r\n",
                 cap.lent_bytes(), cap.lent_bytes_peak(), LockedMemory::process().bytes());
  for (std::size_t i = 0; i < purpose_count; ++i) {
    std::string name = to_string(static_cast<Purpose>(i));
    std::ranges::replace(name, ' ', '_');
    fmt::format_to(to, "used_memory_{}:{}\r\n", name, totals.memory_bytes[i]);
  }
}

void persistence_section(Lines to, Service& service, const Totals& totals) {
  const bool durable = service.durability() == kv::Durability::durable;
  fmt::format_to(
      to,
      "loading:0\r\naof_enabled:1\r\naof_last_write_status:{}\r\nacknowledged_means_durable:{}\r\n"
      "log_bytes:{}\r\ntables:{}\r\ntable_bytes:{}\r\nvalue_tables:{}\r\nvalue_table_bytes:{}\r\n"
      "value_live_bytes:{}\r\nvalue_moved_bytes:{}\r\nflushes:{}\r\ncompactions:{}\r\n"
      "compaction_bytes:{}\r\ntables_moved:{}\r\nlog_write_bytes:{}\r\nflush_bytes:{}\r\n"
      "compaction_read_bytes:{}\r\ncompaction_debt_bytes:{}\r\ncompactions_running:{}"
      "\r\ncompaction_parts:{}\r\ncompaction_parts_helped:{}\r\ncompaction_stuck:{}\r\n"
      "write_amplification:{:.2f}\r\nspace_amplification:{:.2f}\r\ndelayed_writes:{}\r\n"
      "longest_write_delay_usec:{}\r\nwrite_stalls:{}\r\nlongest_write_stall_usec:{}\r\n"
      "longest_log_wait_usec:{}\r\nflush_status:{}\r\n"
      "compaction_status:{}\r\nfailed_background_jobs:{}\r\n",
      totals.stopped ? "err" : "ok", durable ? 1 : 0, totals.store.log_bytes, totals.store.table_count,
      totals.store.table_bytes, totals.store.value_table_count, totals.store.value_table_bytes,
      totals.store.live_value_bytes, totals.store.moved_value_bytes, totals.store.flushes,
      totals.store.compactions, totals.store.compaction_bytes, totals.store.moves,
      totals.store.log_write_bytes, totals.store.flush_bytes, totals.store.compaction_read_bytes,
      totals.store.compaction_debt_bytes, totals.store.compactions_running, totals.store.compaction_parts,
      totals.store.helped_parts, totals.store.compaction_stuck ? 1 : 0, totals.store.write_amplification(),
      totals.store.space_amplification(), totals.store.delayed_writes, totals.store.longest_delay_ns / 1000,
      totals.store.stalls, totals.store.longest_stall_ns / 1000, totals.store.longest_log_wait_ns / 1000,
      status_text(totals.store.flush_error), status_text(totals.store.compaction_error),
      totals.store.failed_jobs);
}

void stats_section(Lines to, const Totals& totals) {
  const ServiceStats& stats = totals.service;
  fmt::format_to(
      to,
      "total_connections_received:{}\r\ntotal_commands_processed:{}\r\ntotal_net_input_bytes:{}\r\n"
      "total_net_output_bytes:{}\r\nrejected_connections:{}\r\nkeyspace_hits:{}\r\n"
      "keyspace_misses:{}\r\ntotal_error_replies:{}\r\nevicted_keys:0\r\nstore_writes:{}\r\n"
      "store_write_bytes:{}\r\nstore_reads:{}\r\nstore_reads_from_device:{}\r\n",
      stats.connections, stats.commands, stats.input_bytes, stats.output_bytes, stats.rejected_connections,
      stats.keys.hits, stats.keys.misses, stats.error_replies, totals.store.writes, totals.store.write_bytes,
      totals.store.reads, totals.store.reads_from_device);
}

/// Reads and writes by the ring that carried them: how many at once, and how long.
void rings_section(Lines to, const Totals& totals) {
  for (unsigned role = 0; role < io_role_count; ++role) {
    const RingStats* const ring = totals.rings[role].get();
    if (ring == nullptr) continue;
    const auto us = [ring](double percent) {
      return static_cast<double>(ring->latency_ns.percentile(percent)) / 1000;
    };
    fmt::format_to(to,
                   "ring_{}:completed={},polled={},enters={},in_flight={},in_flight_max={},p50_us={:.1f},"
                   "p99_us={:.1f},max_us={:.1f}\r\n",
                   to_string(static_cast<IoRole>(role)), ring->completed, ring->polled, ring->enters,
                   ring->in_flight, ring->in_flight_max, us(50), us(99),
                   static_cast<double>(ring->latency_ns.max()) / 1000);
  }
}

void cpu_section(Lines to) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  fmt::format_to(to, "used_cpu_sys:{}.{:06}\r\nused_cpu_user:{}.{:06}\r\n", usage.ru_stime.tv_sec,
                 usage.ru_stime.tv_usec, usage.ru_utime.tv_sec, usage.ru_utime.tv_usec);
}

constexpr std::uint64_t counted_entries_max = 1'000'000;

/// Counts the keys where that is quick; beyond it the number of stored versions stands for them, and says so.
Task<> keyspace_section(Lines to, Service& service, const Totals& totals) {
  if (totals.entries > counted_entries_max) {
    fmt::format_to(to, "db0:keys={},expires=0,avg_ttl=0\r\nkeys_are_an_upper_bound:1\r\n", totals.entries);
    co_return;
  }
  const kv::Durability durability = service.durability();
  KeyspaceCount sum;
  for (const Place& place : service.places()) {
    const auto count = co_await invoke(place.home, [&] { return count_keys(*place.partition, durability); });
    if (!count) co_return;
    sum.keys += count->keys;
    sum.expiring += count->expiring;
  }
  if (sum.keys != 0) fmt::format_to(to, "db0:keys={},expires={},avg_ttl=0\r\n", sum.keys, sum.expiring);
}

constexpr std::string_view section_names[] = {"Server", "Clients",     "Memory", "Persistence", "Stats",
                                              "Rings",  "Replication", "CPU",    "Keyspace"};

bool wanted(const ServerCall& call, std::string_view section) {
  if (call.arguments.size() == 1) return true;
  std::string lower(section);
  for (char& c : lower) c = static_cast<char>(c | 0x20);
  return std::ranges::any_of(call.arguments.subspan(1), [&](std::string_view word) {
    return is_keyword(word, lower) || is_keyword(word, "all") || is_keyword(word, "default") ||
           is_keyword(word, "everything");
  });
}

}  // namespace

Task<> info_command(ServerCall& call) {
  Totals totals;
  for (unsigned shard = 0; shard < call.service.shards(); ++shard) {
    Service& there = call.service.at(ShardId(shard));
    co_await invoke(ShardId(shard), [&] { add_shard(totals, there); });
  }
  std::string text;
  const Lines to(text);
  for (const std::string_view section : section_names) {
    if (!wanted(call, section)) continue;
    fmt::format_to(to, "{}# {}\r\n", text.empty() ? "" : "\r\n", section);
    if (section == "Server") server_section(to, call.service);
    if (section == "Clients") clients_section(to, call.service, totals);
    if (section == "Memory") memory_section(to, totals);
    if (section == "Persistence") persistence_section(to, call.service, totals);
    if (section == "Stats") stats_section(to, totals);
    if (section == "Rings") rings_section(to, totals);
    if (section == "Replication") fmt::format_to(to, "role:master\r\nconnected_slaves:0\r\n");
    if (section == "CPU") cpu_section(to);
    if (section == "Keyspace") co_await keyspace_section(to, call.service, totals);
  }
  call.reply().verbatim(text);
}

}  // namespace ashlar::resp

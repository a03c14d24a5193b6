/// Look-ups that memory does not decide: blocks are read, values fetched, operands merged.

#include <algorithm>

#include "ashlar/kv/lsm/operands.h"
#include "ashlar/kv/lsm/partition.h"
#include "ashlar/runtime/sync/deadline.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::lsm {

/// The version is held all along, and what was seen once stays the limit: a key that is written all the time
/// does not keep its readers waiting, and no flush takes the version away that they wait for.
Task<> LsmPartition::look_up_on_device(kv::Read& read) {
  if (locks().hides(*read.key, view_of(read.options))) {
    const Result<> decided = co_await locks().visible(*read.key, view_of(read.options));
    if (!decided || versions_.empty()) {
      read.result = decided ? fail(Errc::closed, "read") : std::unexpected(decided.error());
      read.settled = true;
      co_return;
    }
  }
  const kv::ReadOptions& options = read.options;
  const VersionRef version = versions_.acquire();
  Sequence limit = read_limit(options);
  while (!read.settled) {
    PointSearch search(*version, read.key->bytes(), read.key->hash(), limit);
    const kv::Pin holder = co_await search_on_device(read, version, search);
    if (read.settled) co_return;
    const Sequence erased = version->erased_below(read.key->bytes(), limit);
    if (answer(read, search, erased)) {
      if (!search.found() || !read.result->has_value()) co_return;
      if (search.entry().kind == Kind::merge) {
        co_await merge_operands(read, version, search, erased);
      } else if (search.entry().kind == Kind::separated) {
        co_await fetch_value(read, version);
      }
      co_return;
    }
    const kv::Receipt::Time waited(options.receipt, &kv::Receipt::queue_time);
    const auto durable =
        co_await kv::Ticket(*this, read.seen, kv::Durability::durable, false).until(options.deadline);
    if (!durable && durable.error().code == Errc::timed_out) {
      read.result = std::unexpected(durable.error());
      read.settled = true;
    }
    limit = durable ? read.seen : read_limit(options);
  }
}

/// The read has found an operand: gathers the older ones down to their base, and merges.
Task<> LsmPartition::merge_operands(kv::Read& read, const VersionRef& version, PointSearch& search,
                                    Sequence cleared) {
  kv::Value& value = **read.result;
  const std::uint64_t now = judged_at(read.options);
  Operands operands(Operands::Walk::newest_first);
  operands.add(value.bytes);
  std::optional<Bytes> base;
  kv::Pin holder;
  read.settled = false;
  while (!base) {
    search.older();
    holder = co_await search_on_device(read, version, search);
    if (read.settled) co_return;
    const Entry& entry = search.entry();
    if (!search.found() || entry.sequence < cleared || is_absent(entry, now)) break;
    if (entry.kind == Kind::merge) {
      operands.add(entry.value);
      continue;
    }
    base = entry.value;
    if (entry.kind != Kind::separated) break;
    auto loaded = co_await load_value(version, entry.value, read.options);
    if (!loaded) {
      read.result = std::unexpected(loaded.error());
      read.settled = true;
      co_return;
    }
    base = loaded->bytes;
    holder = std::move(loaded->pin);
  }
  read.settled = true;
  auto merged = std::make_unique<kv::HeapValue>();
  const Bytes key = read.key->bytes();
  if (const Result<> done = operands.merge(rules_[key].merge_operator, key, base, merged->bytes); !done) {
    read.result = std::unexpected(done.error());
    co_return;
  }
  value.bytes = merged->bytes;
  value.pin = kv::Pin(*merged.release());
}

/// Runs the search to its end, reading what it misses. What it found is held by the pin; an error settles the
/// read.
Task<kv::Pin> LsmPartition::search_on_device(kv::Read& read, const VersionRef& version, PointSearch& search) {
  kv::Receipt* const receipt = read.options.receipt;
  const auto run = [&] {
    const kv::Receipt::Cycles cycles(receipt);
    return search.run();
  };
  kv::Pin holder;
  while (run() == PointSearch::State::need_block) {
    ++counters_.reads_from_device;
    auto loaded = co_await load(version, search.wanted_table(), search.wanted_block(), read.options);
    if (!loaded) {
      read.result = std::unexpected(loaded.error());
      read.settled = true;
      co_return kv::Pin();
    }
    search.provide(*loaded);
    holder = std::move(loaded->pin);
  }
  if (receipt != nullptr) receipt->blocks_cached += search.take_blocks_seen();
  co_return holder;
}

Task<Result<LoadedBlock>> LsmPartition::load(const VersionRef& version, TableFile& table, std::uint32_t block,
                                             const kv::ReadOptions& options) {
  const kv::Receipt::Time waited(options.receipt, &kv::Receipt::device_time);
  if (options.receipt != nullptr) {
    ++options.receipt->blocks_read;
    options.receipt->bytes_read += table.table().block(block).bytes;
  }
  if (options.deadline == never) co_return co_await table.load(block, options.fill_cache);
  co_return co_await abandon_after(options.deadline,
                                   load_without_reader(version.share(), table, block, options.fill_cache));
}

/// Goes on where its reader leaves at a deadline; close() waits for it.
Task<Result<LoadedBlock>> LsmPartition::load_without_reader(VersionRef version, TableFile& table,
                                                            std::uint32_t block, bool keep) {
  ++loads_without_reader_;
  auto loaded = co_await table.load(block, keep);
  version = VersionRef();
  if (--loads_without_reader_ == 0) loads_done_.notify_all();
  co_return loaded;
}

/// The read has found a reference: its value takes the place of that.
Task<> LsmPartition::fetch_value(kv::Read& read, const VersionRef& version) {
  kv::Value& value = **read.result;
  auto loaded = co_await load_value(version, value.bytes, read.options);
  if (loaded) {
    value.bytes = loaded->bytes;
    value.pin = std::move(loaded->pin);
  } else {
    read.result = std::unexpected(loaded.error());
  }
}

/// One read of the device.
Task<Result<LoadedValue>> LsmPartition::load_value(const VersionRef& version, Bytes reference,
                                                   const kv::ReadOptions& options) {
  const ValueRef ref = ValueRef::trusted(reference);
  ValueFile* file = version->find_values(ref.table);
  if (file == nullptr) co_return fail(Errc::corrupt, "value table that a table refers to", ref.place());
  if (LoadedValue cached = file->find(ref)) {
    if (options.receipt != nullptr) ++options.receipt->blocks_cached;
    co_return std::move(cached);
  }
  const kv::Receipt::Time waited(options.receipt, &kv::Receipt::device_time);
  if (options.receipt != nullptr) {
    ++options.receipt->blocks_read;
    options.receipt->bytes_read += ref.read_bytes();
  }
  ++counters_.reads_from_device;
  if (options.deadline == never) co_return co_await file->load(ref, options.fill_cache);
  co_return co_await abandon_after(
      options.deadline, load_value_without_reader(version.share(), *file, ref, options.fill_cache));
}

/// As load_without_reader().
Task<Result<LoadedValue>> LsmPartition::load_value_without_reader(VersionRef version, ValueFile& file,
                                                                  ValueRef ref, bool keep) {
  ++loads_without_reader_;
  auto loaded = co_await file.load(ref, keep);
  version = VersionRef();
  if (--loads_without_reader_ == 0) loads_done_.notify_all();
  co_return loaded;
}

/// All at once; keys of one block share its read.
Task<> LsmPartition::look_up_on_device(std::span<kv::Read> reads) {
  TaskScope misses;
  for (kv::Read& read : reads) {
    if (!read.settled) misses.start(look_up_on_device(read));
  }
  co_await misses.join();
}

}  // namespace ashlar::lsm

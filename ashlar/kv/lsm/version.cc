#include "ashlar/kv/lsm/version.h"

#include <algorithm>

namespace ashlar::lsm {

namespace {

/// The first run that is not newer than that one: where it is, or belongs.
template <class Runs>
auto place_of(Runs& runs, unsigned level, std::uint64_t number) {
  return std::ranges::partition_point(
      runs, [&](const Run& run) { return run.level < level || (run.level == level && run.number > number); });
}

/// The first value table with this number or a greater one.
template <class Values>
auto place_of(Values& values, std::uint64_t number) {
  return std::ranges::partition_point(values,
                                      [&](const LiveValues& one) { return one.file->number() < number; });
}

}  // namespace

Result<> Version::insert(TableFile& table) {
  const TableMeta& meta = table.meta();
  const std::vector<ValueUse>& uses = table.table().properties().references;
  for (const ValueUse& use : uses) {
    if (find_values(use.table) == nullptr)
      return fail(Errc::corrupt, "value table that a table refers to", {.object = use.table});
  }
  for (const ValueUse& use : uses) place_of(values, use.table)->live_bytes += use.bytes;
  auto run = place_of(runs, meta.level, meta.run);
  if (run == runs.end() || run->level != meta.level || run->number != meta.run) {
    run = runs.insert(run, Run{.level = meta.level, .number = meta.run, .tables = {}});
  }
  const auto place = std::ranges::partition_point(run->tables, [&](const TableFile* other) {
    return compare(other->smallest_key(), table.smallest_key()) < 0;
  });
  run->tables.insert(place, &table);
  return {};
}

void Version::erase(const TableFile& table) {
  const auto run = place_of(runs, table.meta().level, table.meta().run);
  std::erase(run->tables, &table);
  if (run->tables.empty()) runs.erase(run);
  for (const ValueUse& use : table.table().properties().references)
    place_of(values, use.table)->live_bytes -= use.bytes;
}

void Version::insert(ValueFile& file) {
  values.insert(place_of(values, file.number()), {.file = &file, .live_bytes = 0});
}

std::vector<ValueFile*> Version::erase_dead_values() {
  std::vector<ValueFile*> dead;
  for (const LiveValues& one : values) {
    if (one.live_bytes == 0) dead.push_back(one.file);
  }
  std::erase_if(values, [](const LiveValues& one) { return one.live_bytes == 0; });
  return dead;
}

ValueFile* Version::find_values(std::uint64_t number) const noexcept {
  const auto at = place_of(values, number);
  return at != values.end() && at->file->number() == number ? at->file : nullptr;
}

std::span<const Run> Version::level(unsigned level) const noexcept {
  const auto begin = place_of(runs, level, ~std::uint64_t{0});
  auto end = begin;
  while (end != runs.end() && end->level == level) ++end;
  return {begin, end};
}

std::uint64_t Version::level_bytes(unsigned wanted) const noexcept {
  std::uint64_t sum = 0;
  for (const Run& run : level(wanted)) sum += run.bytes();
  return sum;
}

Version::~Version() {
  if (!pinned_) return;
  for (Memtable* memtable : memtables) memtable->unpin();
  for (Run& run : runs) {
    for (TableFile* table : run.tables) table->unpin();
  }
  for (const LiveValues& one : values) one.file->unpin();
}

void Version::gather_ranges() {
  std::vector<ErasedRange> all;
  const auto add = [&](const std::vector<ErasedRange>& some) {
    all.insert(all.end(), some.begin(), some.end());
  };
  for (const Memtable* memtable : memtables) add(memtable->ranges());
  for (const Run& run : runs) {
    for (const TableFile* table : run.tables) add(table->table().ranges());
  }
  ranges = all.empty() ? nullptr : RangeSet::make(std::move(all));
}

void Version::pin_all() noexcept {
  for (Memtable* memtable : memtables) memtable->pin();
  for (Run& run : runs) {
    for (TableFile* table : run.tables) table->pin();
  }
  for (const LiveValues& one : values) one.file->pin();
  pinned_ = true;
}

VersionRef::~VersionRef() {
  if (version_ == nullptr || --version_->references_ != 0) return;
  set_->epochs_.retire(version_, [](void* version) noexcept {
    std::default_delete<Version>()(static_cast<Version*>(version));
  });
  set_->retired_.notify_all();
}

void VersionSet::publish(std::unique_ptr<Version> next) {
  next->pin_all();
  VersionRef replaced = std::exchange(held_, VersionRef(*next, *this));
  current_.store(next.release(), std::memory_order_release);
}

VersionRef VersionSet::acquire_frozen() const {
  auto frozen = load().successor();
  frozen->memtables.erase(frozen->memtables.begin());
  frozen->pin_all();
  return VersionRef(*frozen.release(), *this);
}

void VersionSet::reset() noexcept {
  current_.store(nullptr, std::memory_order_release);
  held_ = VersionRef();
}

}  // namespace ashlar::lsm

#include "ashlar/kv/lsm/repair_values.h"

#include <algorithm>

namespace ashlar::lsm {

Result<> UseCheck::on_entry(const Entry& entry, ErrorPlace) {
  if (entry.kind != Kind::separated) return {};
  const ValueRef ref = ValueRef::trusted(entry.value);
  std::uint64_t& end = uses_[ref.table];
  end = std::max(end, ref.end());
  return {};
}

Task<Result<std::optional<Error>>> RepairValues::check(std::uint64_t partition, std::uint64_t number) {
  const auto found = co_await check_value_table(blobs_, partition, number);
  if (found) {
    whole_[number] = *found;
    co_return std::optional<Error>();
  }
  if (found.error().code != Errc::corrupt && found.error().code != Errc::io)
    co_return std::unexpected(found.error());
  co_return std::optional(found.error());
}

void RepairValues::add(const std::vector<ValueTableMeta>& written) {
  for (const ValueTableMeta& table : written) {
    whole_[table.number] = table;
    written_.insert(std::ranges::upper_bound(written_, table.number), table.number);
  }
}

/// Whether the value table is whole, and at least so long.
bool RepairValues::holds(std::uint64_t values, std::uint64_t end) const noexcept {
  const auto found = whole_.find(values);
  return found != whole_.end() && end <= found->second.data_bytes;
}

bool RepairValues::concern(std::uint64_t table) const {
  const auto found = uses_.find(table);
  return found != uses_.end() &&
         std::ranges::any_of(found->second, [&](const auto& use) { return !holds(use.first, use.second); });
}

bool RepairValues::all_there() const {
  return std::ranges::none_of(uses_, [&](const auto& entry) { return concern(entry.first); });
}

/// Key tables that were written since refer to what these did, or to what was written with them.
bool RepairValues::referenced(std::uint64_t values) const {
  return std::ranges::binary_search(written_, values) ||
         std::ranges::any_of(uses_, [&](const auto& entry) { return entry.second.contains(values); });
}

std::map<std::uint64_t, ValueTableMeta> RepairValues::named() const {
  std::map<std::uint64_t, ValueTableMeta> result;
  for (const auto& [number, meta] : whole_) {
    if (referenced(number)) result[number] = meta;
  }
  return result;
}

std::vector<std::uint64_t> RepairValues::unreferenced() const {
  std::vector<std::uint64_t> result;
  for (const auto& [number, meta] : whole_) {
    if (!referenced(number)) result.push_back(number);
  }
  return result;
}

Task<Result<LoadedValue>> RepairValues::load(ValueRef ref) {
  auto& table = open_[ref.table];
  if (table == nullptr) {
    auto opened = CO_TRY(co_await blobs_.open_table(ref.table));
    if (open_[ref.table] == nullptr) open_[ref.table] = std::move(opened);
  }
  co_return co_await read_value(*open_[ref.table], ref);
}

Result<bool> RepairValues::drop(const ValueRef&, const Error& why) {
  if (why.code != Errc::corrupt && why.code != Errc::io && why.code != Errc::not_found)
    return std::unexpected(why);
  ++lost_;
  return true;
}

}  // namespace ashlar::lsm

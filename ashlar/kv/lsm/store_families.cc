/// Column families of a store. Dropping one, step by step (docs/formats/directory.md):
///
///  1. The root record says that it is dropped: nobody finds it any more, and its number stays taken.
///  2. In every partition its keys are erased as one range; compaction brings their space back.
///  3. Its record goes when the number is wanted and no partition holds any of its keys.
///
/// A crash between 1 and 2 leaves keys that nobody asks for: the next open goes on with 2.

#include <algorithm>

#include "ashlar/base/log.h"
#include "ashlar/kv/lsm/store.h"
#include "ashlar/runtime/mesh/invoke.h"

namespace ashlar::lsm {

namespace {

constexpr std::uint8_t type_of(std::uint8_t family) noexcept {
  return static_cast<std::uint8_t>(static_cast<std::uint8_t>(kv::KeyType::column_family) + family);
}

const kv::MergeOperators& operators_of(const LsmOptions& options) {
  static const kv::MergeOperators built_in;
  return options.merge_operators != nullptr ? *options.merge_operators : built_in;
}

/// Nobody writes to it; who still sees its keys, a snapshot or a scan of everything, sees merged ones as
/// ever.
KeyRules rules_of_dropped(const kv::Family& family, const LsmOptions& options) {
  return {.merge_operator = operators_of(options).find(family.options.merge_operator), .exists = false};
}

Task<Result<>> erase_all(LsmPartition& partition, kv::KeyRange range) {
  const kv::Ticket erased = CO_TRY(partition.erase_range(as_bytes(range.first), as_bytes(range.end)));
  co_return co_await erased;
}

}  // namespace

Result<const kv::MergeOperator*> LsmStore::find_operator(const std::string& name) const {
  if (name.empty()) return nullptr;
  const kv::MergeOperator* found = operators_of(options_).find(name);
  if (found != nullptr) return found;
  log::error("{}: merge operator {} is needed, and not registered", home_->name(), name);
  return fail(Errc::unsupported, "merge operator that the directory needs");
}

/// The store's own operator: the one that is recorded, or the first one that is given. True: it is new.
Result<bool> LsmStore::choose_operator() {
  const std::string& given = options_.merge_operator;
  const bool is_new = root_.merge_operator.empty() && !given.empty();
  if (!is_new && !given.empty() && given != root_.merge_operator) {
    log::error("{}: was written with merge operator {}, opened with {}", home_->name(), root_.merge_operator,
               given);
    return fail(Errc::invalid, "merge operator: not the one that the directory was written with");
  }
  if (is_new) root_.merge_operator = given;
  TRY(find_operator(root_.merge_operator));
  return is_new;
}

Result<KeyRuleTable> LsmStore::rules() const {
  KeyRuleTable rules;
  const kv::MergeOperator* own = TRY(find_operator(root_.merge_operator));
  rules.set(static_cast<std::uint8_t>(kv::KeyType::value), {.merge_operator = own});
  for (const kv::FamilyRecord& record : root_.families) {
    if (record.dropped) {
      rules.set(type_of(record.family.number), rules_of_dropped(record.family, options_));
      continue;
    }
    const kv::MergeOperator* of_family = TRY(find_operator(record.family.options.merge_operator));
    rules.set(type_of(record.family.number),
              {.merge_operator = of_family, .ttl_ms = record.family.options.ttl_ms});
  }
  return rules;
}

Result<> LsmStore::merge(const StoredKey& key, std::optional<Bytes> base, std::span<const Bytes> operands,
                         std::vector<std::byte>& result) {
  const kv::MergeOperator* by = partition(partition_of(key)).rules_of(key).merge_operator;
  if (by == nullptr) return kv::Store::merge(key, base, operands, result);
  return by->merge(key.user_key(), base, operands, result);
}

std::vector<kv::Family> LsmStore::families() const {
  std::vector<kv::Family> live;
  for (const kv::FamilyRecord& record : root_.families) {
    if (!record.dropped) live.push_back(record.family);
  }
  return live;
}

Result<kv::Family> LsmStore::family(std::string_view name) const {
  for (const kv::FamilyRecord& record : root_.families) {
    if (!record.dropped && record.family.name == name) return record.family;
  }
  return fail(Errc::not_found, "column family");
}

/// Replaces the root record; the one in memory is what is durable.
Task<Result<>> LsmStore::write_families(std::vector<kv::FamilyRecord> families) {
  kv::RootRecord next = root_;
  next.families = std::move(families);
  const std::vector<std::byte> encoded = next.encode();
  CO_TRY(co_await blobs_->write_root(root_number, encoded));
  root_ = std::move(next);
  co_return Result<>{};
}

Task<> LsmStore::set_rules(std::uint8_t type, KeyRules rules) {
  for (std::uint32_t id = 0; id < partitions_.size(); ++id) {
    const ShardId home = home_of(kv::PartitionId{static_cast<std::uint16_t>(id)});
    co_await invoke(home, [&] { partitions_[id]->set_rules(type, rules); });
  }
}

Task<Result<kv::Family>> LsmStore::create_family(std::string name, kv::FamilyOptions options) {
  const MutexLock lock = co_await families_mutex_.lock();
  if (name.empty() || name.size() > kv::family_name_bytes_max)
    co_return fail(Errc::invalid, "column family name");
  if (family(name)) co_return fail(Errc::exists, "column family");
  const auto by = find_operator(options.merge_operator);
  if (!by) co_return fail(Errc::invalid, "merge operator of a column family");
  std::vector<kv::FamilyRecord> next = root_.families;
  const std::uint8_t number = CO_TRY(co_await free_number(next));
  kv::Family made{.name = std::move(name), .number = number, .options = std::move(options)};
  next.push_back({.family = made, .dropped = false});
  CO_TRY(co_await write_families(std::move(next)));
  co_await set_rules(type_of(number), {.merge_operator = *by, .ttl_ms = made.options.ttl_ms});
  co_return made;
}

/// The lowest number that no family has. Where only dropped ones are left, one whose keys are gone.
Task<Result<std::uint8_t>> LsmStore::free_number(std::vector<kv::FamilyRecord>& families) {
  const auto has = [&](std::uint32_t number) {
    return std::ranges::any_of(
        families, [&](const kv::FamilyRecord& record) { return record.family.number == number; });
  };
  for (std::uint32_t number = 0; number < kv::family_count_max; ++number) {
    if (!has(number)) co_return static_cast<std::uint8_t>(number);
  }
  for (std::size_t i = 0; i < families.size(); ++i) {
    const kv::Family family = families[i].family;
    if (!families[i].dropped || co_await holds(family.range())) continue;
    families.erase(families.begin() + static_cast<std::ptrdiff_t>(i));
    co_return family.number;
  }
  co_return fail(Errc::no_space, "column families: every number is taken, or still to be reclaimed");
}

Task<bool> LsmStore::holds(kv::KeyRange range) {
  bool any = false;
  for (std::uint32_t id = 0; id < partitions_.size() && !any; ++id) {
    const ShardId home = home_of(kv::PartitionId{static_cast<std::uint16_t>(id)});
    any = co_await invoke(home, [&] { return partitions_[id]->holds(range); });
  }
  co_return any;
}

Task<Result<>> LsmStore::drop_family(std::string name) {
  const MutexLock lock = co_await families_mutex_.lock();
  const kv::Family dropped = CO_TRY(family(name));
  std::vector<kv::FamilyRecord> next = root_.families;
  for (kv::FamilyRecord& record : next) record.dropped |= record.family.number == dropped.number;
  const Result<> written = co_await write_families(std::move(next));
  // Where it failed, too: the next open may find the family dropped, so that nobody writes to it from here
  // on.
  co_await set_rules(type_of(dropped.number), rules_of_dropped(dropped, options_));
  CO_TRY(written);
  co_return co_await erase_family(dropped);
}

Task<Result<>> LsmStore::erase_family(kv::Family family) {
  const kv::KeyRange range = family.range();
  for (std::uint32_t id = 0; id < partitions_.size(); ++id) {
    const ShardId home = home_of(kv::PartitionId{static_cast<std::uint16_t>(id)});
    CO_TRY(co_await invoke(home, [&] { return erase_all(*partitions_[id], range); }));
  }
  co_return Result<>{};
}

/// What a crash has interrupted. Where a partition cannot write, the family stays dropped, and the next open
/// tries again.
Task<> LsmStore::finish_drops() {
  for (std::size_t i = 0; i < root_.families.size(); ++i) {
    if (!root_.families[i].dropped) continue;
    const kv::Family family = root_.families[i].family;
    const kv::KeyRange range = family.range();
    for (std::uint32_t id = 0; id < partitions_.size(); ++id) {
      const ShardId home = home_of(kv::PartitionId{static_cast<std::uint16_t>(id)});
      const bool shown = co_await invoke(
          home, [&] { return !partitions_[id]->hides(range) && partitions_[id]->holds(range); });
      if (!shown) continue;
      const Result<> erased = co_await invoke(home, [&] { return erase_all(*partitions_[id], range); });
      if (!erased) log::warn("{}: dropped column family: {}", home_->partition_name(id), erased.error());
    }
  }
}

}  // namespace ashlar::lsm

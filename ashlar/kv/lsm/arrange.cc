#include "ashlar/kv/lsm/arrange.h"

#include <algorithm>
#include <array>

namespace ashlar::lsm {

namespace {

/// Tables that become one, and the ranges they span.
struct Group {
  std::vector<TableMeta> tables;
  Sequence smallest, largest;
  std::string first, last;
};

Group group_of(TableMeta table) {
  Group group{.tables = {},
              .smallest = table.smallest_sequence,
              .largest = table.largest_sequence,
              .first = table.smallest_key,
              .last = table.largest_key};
  group.tables.push_back(std::move(table));
  return group;
}

/// Bytes compare as unsigned in std::string.
bool share_keys(const std::string& a_first, const std::string& a_last, const std::string& b_first,
                const std::string& b_last) {
  return a_first <= b_last && b_first <= a_last;
}

bool ordered(const Group& a, const Group& b) {
  return !share_keys(a.first, a.last, b.first, b.last) || a.largest < b.smallest || b.largest < a.smallest;
}

void absorb(Group& into, Group from) {
  into.smallest = std::min(into.smallest, from.smallest);
  into.largest = std::max(into.largest, from.largest);
  into.first = std::min(into.first, from.first);
  into.last = std::max(into.last, from.last);
  for (TableMeta& table : from.tables) into.tables.push_back(std::move(table));
}

/// Until every two are ordered.
std::vector<Group> group_all(std::vector<TableMeta> tables) {
  std::vector<Group> groups;
  for (TableMeta& table : tables) {
    Group next = group_of(std::move(table));
    for (bool grew = true; grew;) {
      grew = false;
      for (std::size_t i = 0; i < groups.size(); ++i) {
        if (ordered(groups[i], next)) continue;
        absorb(next, std::move(groups[i]));
        groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(i));
        grew = true;
        break;
      }
    }
    groups.push_back(std::move(next));
  }
  return groups;
}

/// Tables that are open while they are merged; nothing is removed with them. close() comes before it goes.
class Inputs final : public TableOwner {
 public:
  void remove_later(std::uint64_t) noexcept override {}
  TaskScope& table_reads() noexcept override { return reads_; }
  Task<Result<>> open(const std::vector<TableMeta>& tables, const Arrangement& arrangement) {
    for (const TableMeta& table : tables) {
      files_.push_back(CO_TRY(co_await TableFile::open(
          arrangement.job.home.blobs(), arrangement.job.partition, table, arrangement.shard.cache(), *this)));
      files_.back()->pin();
    }
    co_return Result<>{};
  }
  Task<> close() {
    co_await reads_.join();
    for (TableFile* file : files_) file->unpin();
  }
  const std::vector<TableFile*>& files() const noexcept { return files_; }

 private:
  std::vector<TableFile*> files_;
  TaskScope reads_{nullptr};
};

Task<Result<JobOutput>> merge_inputs(const Inputs& inputs, const Arrangement& arrangement) {
  TableJob job = arrangement.job;
  JobMerge merge(job.home);
  for (TableFile* const file : inputs.files()) {
    merge.add(std::vector<TableFile*>{file});
    const std::vector<ErasedRange>& ranges = file->table().ranges();
    job.ranges.insert(job.ranges.end(), ranges.begin(), ranges.end());
  }
  co_return co_await write_tables(merge, job);
}

}  // namespace

Task<Result<JobOutput>> merge_tables(std::vector<TableMeta> tables, const Arrangement& arrangement) {
  Inputs inputs;
  const Result<> opened = co_await inputs.open(tables, arrangement);
  Result<JobOutput> merged = JobOutput();
  if (opened) {
    merged = co_await merge_inputs(inputs, arrangement);
  } else {
    merged = std::unexpected(opened.error());
  }
  co_await inputs.close();
  co_return merged;
}

void place(std::vector<TableMeta>& tables, const std::function<std::uint64_t()>& next_number) {
  std::ranges::sort(tables, {}, &TableMeta::largest_sequence);
  std::array<std::vector<const TableMeta*>, level_count> levels;
  for (TableMeta& table : tables) {
    unsigned level = level_count - 1;
    for (unsigned upper = 0; upper < level_count; ++upper) {
      const auto meets = [&](const TableMeta* other) {
        return share_keys(table.smallest_key, table.largest_key, other->smallest_key, other->largest_key);
      };
      if (!std::ranges::any_of(levels[upper], meets)) continue;
      level = upper == 0 ? 0 : upper - 1;
      break;
    }
    table.level = level;
    table.run = level == 0 ? next_number() : default_run(level, table.number);
    levels[level].push_back(&table);
  }
}

Task<Result<JobOutput>> arrange(std::vector<TableMeta> tables, Arrangement& arrangement) {
  JobOutput arranged;
  for (Group& group : group_all(std::move(tables))) {
    if (group.tables.size() == 1) {
      arranged.tables.push_back(std::move(group.tables.front()));
      continue;
    }
    arrangement.merged += group.tables.size();
    JobOutput merged = CO_TRY(co_await merge_tables(std::move(group.tables), arrangement));
    for (TableMeta& table : merged.tables) arranged.tables.push_back(std::move(table));
    arranged.values.insert(arranged.values.end(), merged.values.begin(), merged.values.end());
  }
  place(arranged.tables, arrangement.job.next_number);
  co_return arranged;
}

}  // namespace ashlar::lsm

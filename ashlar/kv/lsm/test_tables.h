#pragma once

/// Versions made of tables without files, for tests of what compaction chooses.

#include <memory>
#include <string>

#include "ashlar/kv/lsm/compaction.h"

namespace ashlar::lsm::testing {

/// A stored key that orders as its number does.
inline std::string key_at(std::uint64_t number) {
  std::string key("\x01\0\0", 3);
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(number >> shift));
  return key;
}

struct Described {
  unsigned level = 0;
  std::uint64_t run = 0;
  std::uint64_t first = 0, last = 0;  ///< keys
  std::uint64_t entries = 100;
  std::uint64_t bytes = 0;  ///< 0: 100 for each entry
  std::uint64_t tombstones = 0;
  std::uint64_t sequence = 1;       ///< of all entries
  std::vector<ValueUse> uses = {};  ///< value tables that they refer to
};

class TestVersion final : private TableOwner {
 public:
  TestVersion() : version_(std::make_unique<Version>()) {}
  ~TestVersion() { version_.reset(); }

  TableFile& add(const Described& wanted) {
    TableMeta meta{.level = wanted.level,
                   .run = wanted.run,
                   .number = next_number_++,
                   .file_bytes = wanted.bytes != 0 ? wanted.bytes : 100 * wanted.entries,
                   .entries = wanted.entries,
                   .tombstones = wanted.tombstones,
                   .smallest_sequence = Sequence{wanted.sequence},
                   .largest_sequence = Sequence{wanted.sequence},
                   .smallest_key = key_at(wanted.first),
                   .largest_key = key_at(wanted.last)};
    if (wanted.level == 0 && wanted.run == 0) meta.run = meta.number;
    Properties properties;
    properties.entries = properties.keys = wanted.entries;
    properties.tombstones = wanted.tombstones;
    properties.references = wanted.uses;
    properties.sequence_min = properties.sequence_max = Sequence{wanted.sequence};
    TableFile* table = TableFile::describe(std::move(meta), std::move(properties), *this);
    edit([&](Version& next) { (void)next.insert(*table); });
    return *table;
  }
  ValueFile& add_values(std::uint64_t data_bytes) {
    ValueFile* values = ValueFile::describe({.number = next_number_++, .data_bytes = data_bytes}, *this);
    edit([&](Version& next) { next.insert(*values); });
    return *values;
  }
  void remove(const std::vector<TableFile*>& tables) {
    edit([&](Version& next) {
      for (const TableFile* table : tables) next.erase(*table);
    });
  }
  void move(const std::vector<TableFile*>& tables, unsigned level, std::uint64_t run) {
    edit([&](Version& next) {
      for (TableFile* table : tables) {
        next.erase(*table);
        table->set_place(level, run);
        (void)next.insert(*table);
      }
    });
  }
  std::uint64_t next_run() noexcept { return next_number_++; }
  const Version& operator*() const noexcept { return *version_; }
  const Version* operator->() const noexcept { return version_.get(); }

 private:
  template <class Change>
  void edit(Change&& change) {
    auto next = version_->successor();
    change(*next);
    next->pin_all();
    version_ = std::move(next);
  }
  void remove_later(std::uint64_t) noexcept override {}
  TaskScope& table_reads() noexcept override { return reads_; }

  TaskScope reads_{nullptr};
  std::unique_ptr<Version> version_;
  std::uint64_t next_number_ = 1;
};

}  // namespace ashlar::lsm::testing

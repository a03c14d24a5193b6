#include "ashlar/kv/lsm/version.h"

namespace ashlar::lsm {

Version::~Version() {
  if (!pinned_) return;
  for (Memtable* memtable : memtables) memtable->unpin();
  for (auto& level : levels) {
    for (TableFile* table : level) table->unpin();
  }
}

void Version::pin_all() noexcept {
  for (Memtable* memtable : memtables) memtable->pin();
  for (auto& level : levels) {
    for (TableFile* table : level) table->pin();
  }
  pinned_ = true;
}

void VersionSet::publish(std::unique_ptr<Version> next) {
  next->pin_all();
  VersionRef replaced = std::exchange(held_, VersionRef(*next, epochs_));
  current_.store(next.release(), std::memory_order_release);
}

void VersionSet::reset() noexcept {
  current_.store(nullptr, std::memory_order_release);
  held_ = VersionRef();
}

}  // namespace ashlar::lsm

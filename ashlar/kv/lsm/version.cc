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

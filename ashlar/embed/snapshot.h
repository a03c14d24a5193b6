#pragma once

#include <memory>

namespace ashlar {

namespace embed {
class SnapshotState;
}

/// The database as it was at one moment, for ReadOptions::snapshot. Keeps what it shows from being dropped.
/// Any thread; outlives the reads that name it. It ends with the database, if that ends first.
class Snapshot {
 public:
  Snapshot(Snapshot&&) noexcept;
  Snapshot& operator=(Snapshot&&) noexcept;
  ~Snapshot();

 private:
  friend class Db;
  friend class embed::SnapshotState;
  explicit Snapshot(std::shared_ptr<embed::SnapshotState> state) noexcept;

  std::shared_ptr<embed::SnapshotState> state_;
};

}  // namespace ashlar

#pragma once

/// Reads what can still be read of a damaged log, where recovery refuses. docs/formats/log.md, "Salvage".

#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "ashlar/log/record.h"
#include "ashlar/log/segment_reader.h"

namespace ashlar::wal {

/// Owner: one task. Changes nothing. Lifecycle: open(), next() until it returns false.
class Salvage {
 public:
  static Task<Result<std::unique_ptr<Salvage>>> open(blob::Store& store, std::uint32_t log);

  /// Delivers the records of the next whole group, in order; false where there is none. A part that cannot be
  /// read or does not validate is passed over.
  Task<Result<bool>> next(RecordVisitor& visitor);

  /// Every segment of the log, readable or not.
  const std::vector<blob::SegmentName>& segments() const noexcept { return names_; }
  std::uint64_t groups() const noexcept { return groups_; }

 private:
  struct Readable {
    std::unique_ptr<blob::Segment> blob;
    std::uint64_t generation = 0;
  };

  bool belongs(const GroupHeader& header) noexcept;

  std::vector<blob::SegmentName> names_;
  std::vector<Readable> segments_;  // those with a header, ascending by generation
  std::size_t at_ = 0;
  std::uint64_t offset_ = 0;
  std::unique_ptr<SegmentReader> reader_;
  std::uint64_t ordinal_ = 0, session_ = 0;  // of the last group delivered
  std::set<std::uint64_t> ended_;            // sessions
  std::uint64_t groups_ = 0;
};

}  // namespace ashlar::wal

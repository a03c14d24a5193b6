#pragma once

/// What a log holds: records, and where one stands. Format: docs/formats/log.md.

#include <compare>
#include <cstdint>

#include "ashlar/base/bytes.h"
#include "ashlar/base/result.h"

namespace ashlar::wal {

enum class RecordType : std::uint8_t {
  write = 1,            ///< a put or a batch
  prepare = 2,          ///< this log's part of a write across partitions
  outcome = 3,          ///< commits or voids a prepare
  truncate_suffix = 4,  ///< voids every record from its index on; written by Log::truncate_suffix()
};

/// What the owner says about a record. The log stores it and does not interpret it.
struct RecordHeader {
  RecordType type = RecordType::write;
  std::uint32_t stream = 0;    ///< which partition or group, as the owner counts them
  std::uint64_t term = 0;      ///< of a Raft log
  std::uint64_t sequence = 0;  ///< the owner's order
};

/// A record as recovery and reads deliver it: a view, valid during the call.
struct Record {
  RecordHeader header;
  std::uint64_t index = 0;
  Bytes payload;
  std::uint64_t segment = 0;  ///< where it stands, for errors: segment number and byte offset
  std::uint64_t offset = 0;
};

/// Takes records in order. An error ends the walk with it.
class RecordVisitor {
 public:
  virtual Result<> on_record(const Record& record) = 0;

 protected:
  ~RecordVisitor() = default;
};

/// A record's place: its index, and the commit group that makes it durable. Ordered by group, which never
/// goes back (indices do, when a suffix is truncated).
struct LogPosition {
  std::uint64_t index = 0;
  std::uint64_t group = 0;
  auto operator<=>(const LogPosition& other) const noexcept { return group <=> other.group; }
  bool operator==(const LogPosition&) const = default;
};

}  // namespace ashlar::wal

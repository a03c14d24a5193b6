#pragma once

/// Records of a backup: bytes only. Format: docs/formats/backup.md.

#include "ashlar/kv/lsm/backup.h"

namespace ashlar::lsm {

/// The repository's root record.
struct RepositoryRecord {
  std::uint64_t id = 0;
  std::uint64_t next_number = 1;
  std::uint64_t next_generation = 1;
  std::vector<BackupGeneration> generations;

  std::vector<std::byte> encode() const;
  /// `invalid` where this is no repository's record.
  static Result<RepositoryRecord> decode(Bytes bytes);
};

/// Turns bytes of a blob of records, in pieces, back into records.
class RecordParser {
 public:
  void add(Bytes bytes) { buffer_.insert(buffer_.end(), bytes.begin(), bytes.end()); }
  /// The next whole record, a view that is valid until the next call; false where more bytes are wanted.
  Result<bool> next(wal::RecordHeader& header, Bytes& payload, ErrorPlace place);
  /// Nothing is left of a record that was cut short.
  bool done() const noexcept { return at_ == buffer_.size(); }

 private:
  std::vector<std::byte> buffer_;
  std::size_t at_ = 0;
};
/// What stands before a record's payload in such a blob.
std::vector<std::byte> encode_record_header(const wal::RecordHeader& header, std::uint64_t payload_bytes);

}  // namespace ashlar::lsm

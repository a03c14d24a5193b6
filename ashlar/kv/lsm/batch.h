#pragma once

/// The payload of a log record: one batch. Format: docs/formats/key.md, "Batch".

#include <span>

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/key.h"
#include "ashlar/kv/partition.h"

namespace ashlar::lsm {

/// Exact size of the encoded batch.
std::size_t batch_bytes(std::span<const kv::Write> writes) noexcept;
/// Keys and values alone: what value_bytes_max bounds.
std::size_t batch_payload_bytes(std::span<const kv::Write> writes) noexcept;
/// Writes batch_bytes(writes) bytes to `to`; returns the byte after them.
std::byte* encode_batch(std::span<const kv::Write> writes, std::byte* to) noexcept;

/// Reads a batch back, one operation at a time.
class BatchReader {
 public:
  /// `place`: segment and offset of the record, for errors.
  BatchReader(Bytes payload, Sequence sequence, ErrorPlace place) noexcept
      : begin_(payload.data()), at_(begin_), end_(begin_ + payload.size()), place_(place) {
    entry_.sequence = sequence;
  }

  /// True: entry() is the next operation. False: there is none. `corrupt` where the bytes are no batch.
  Result<bool> next() noexcept;
  /// A view of the payload.
  const Entry& entry() const noexcept { return entry_; }

 private:
  std::unexpected<Error> corrupt() const noexcept;
  bool take(std::uint64_t bytes, Bytes& out) noexcept;

  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  ErrorPlace place_;
  Entry entry_;
};

}  // namespace ashlar::lsm

#pragma once

/// Payloads of prepare and outcome records. Format: docs/formats/transaction.md.

#include <vector>

#include "ashlar/base/result.h"
#include "ashlar/kv/lsm/key.h"
#include "ashlar/kv/partition.h"

namespace ashlar::lsm {

/// Size of what both kinds begin with.
std::size_t transaction_head_bytes(std::span<const kv::PartitionId> participants) noexcept;
/// Writes so many bytes to `to`; returns the byte after them.
std::byte* encode_transaction_head(const kv::TransactionId& id, std::span<const kv::PartitionId> participants,
                                   std::byte* to) noexcept;

/// What a record says, as far as both kinds agree.
struct TransactionHead {
  kv::TransactionId id;
  std::vector<kv::PartitionId> participants;
  Bytes rest;  ///< a batch, or an outcome: a view of the payload
};
/// `corrupt` at `place` + the byte where it goes wrong.
Result<TransactionHead> decode_transaction_head(Bytes payload, ErrorPlace place);
Result<kv::Outcome> decode_outcome(const TransactionHead& head, ErrorPlace place) noexcept;

}  // namespace ashlar::lsm

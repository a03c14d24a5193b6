#include "ashlar/kv/lsm/transaction_record.h"

#include <algorithm>

#include "ashlar/base/endian.h"

namespace ashlar::lsm {

namespace {

constexpr std::size_t fixed_bytes = 18;
constexpr std::size_t participants_min = 2;

}  // namespace

std::size_t transaction_head_bytes(std::span<const kv::PartitionId> participants) noexcept {
  return fixed_bytes + 2 * participants.size();
}

std::byte* encode_transaction_head(const kv::TransactionId& id, std::span<const kv::PartitionId> participants,
                                   std::byte* to) noexcept {
  store_le(to, id.number);
  store_le(to + 8, id.sequence.value);
  store_le(to + 16, static_cast<std::uint16_t>(participants.size()));
  to += fixed_bytes;
  for (const kv::PartitionId participant : participants) {
    store_le(to, participant.value);
    to += 2;
  }
  return to;
}

Result<TransactionHead> decode_transaction_head(Bytes payload, ErrorPlace place) {
  const auto corrupt = [&](std::size_t at) {
    return fail(Errc::corrupt, "transaction record", {.object = place.object, .offset = place.offset + at});
  };
  if (payload.size() < fixed_bytes) return corrupt(0);
  TransactionHead head;
  head.id = {load_le<std::uint64_t>(payload.data()), Sequence{load_le<std::uint64_t>(payload.data() + 8)}};
  if (head.id.number == kv::no_owner) return corrupt(0);
  const std::size_t count = load_le<std::uint16_t>(payload.data() + 16);
  if (count < participants_min || count > kv::partition_count_max) return corrupt(16);
  if (payload.size() <= fixed_bytes + 2 * count) return corrupt(16);
  for (std::size_t i = 0; i < count; ++i) {
    head.participants.emplace_back(load_le<std::uint16_t>(payload.data() + fixed_bytes + 2 * i));
    if (i != 0 && head.participants[i] <= head.participants[i - 1]) return corrupt(fixed_bytes + 2 * i);
  }
  head.rest = payload.subspan(fixed_bytes + 2 * count);
  return head;
}

Result<kv::Outcome> decode_outcome(const TransactionHead& head, ErrorPlace place) noexcept {
  const auto outcome = static_cast<kv::Outcome>(head.rest[0]);
  const bool known = outcome == kv::Outcome::committed || outcome == kv::Outcome::aborted;
  if (!known || head.rest.size() != 1) return fail(Errc::corrupt, "transaction outcome", place);
  return outcome;
}

}  // namespace ashlar::lsm

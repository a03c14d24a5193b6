/// Any bytes are a record of a transaction or an error; a head that decodes encodes to the same bytes, and
/// says nothing of bytes that it has not.

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "ashlar/kv/lsm/batch.h"
#include "ashlar/kv/lsm/transaction_record.h"

using namespace ashlar;
using namespace ashlar::lsm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes payload{reinterpret_cast<const std::byte*>(data), size};
  constexpr ErrorPlace place{.object = 1, .offset = 2};
  const auto head = decode_transaction_head(payload, place);
  if (!head) {
    if (head.error().code != Errc::corrupt || head.error().offset > place.offset + size) std::abort();
    return 0;
  }
  const std::size_t bytes = transaction_head_bytes(head->participants);
  if (bytes + head->rest.size() != size) std::abort();
  std::vector<std::byte> again(bytes);
  encode_transaction_head(head->id, head->participants, again.data());
  if (std::memcmp(again.data(), data, bytes) != 0) std::abort();
  if (const auto outcome = decode_outcome(*head, place); !outcome && outcome.error().code != Errc::corrupt)
    std::abort();
  BatchReader batch(head->rest, head->id.sequence, place);
  for (auto more = batch.next(); more && *more; more = batch.next()) (void)key_hash(batch.entry().key);
  return 0;
}

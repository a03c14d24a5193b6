/// Any bytes are a batch or an error; what a batch says can be read, and stays within its bytes.

#include <cstdint>
#include <cstdlib>

#include "ashlar/kv/lsm/batch.h"

using namespace ashlar;
using namespace ashlar::lsm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes payload{reinterpret_cast<const std::byte*>(data), size};
  BatchReader batch(payload, Sequence{7}, {.object = 1, .offset = 2});
  std::size_t bytes = 0;
  while (true) {
    const auto more = batch.next();
    if (!more && more.error().code != Errc::corrupt) std::abort();
    if (!more || !*more) break;
    const Entry& entry = batch.entry();
    bytes += entry.key.size() + entry.value.size() + 1;
    (void)key_hash(entry.key);  // touches every byte
    (void)key_hash(entry.value);
  }
  if (bytes > size) std::abort();
  return 0;
}

/// An index that parses answers for any key with a block that exists, in the order of the keys.

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "ashlar/kv/lsm/table/index.h"

using namespace ashlar;
using namespace ashlar::lsm;

/// Input: one byte n, a key of n bytes at most, the index. Where the index ends is believed, so that some
/// parse.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes input{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  const Bytes key = input.first(std::min<std::size_t>(data[0], input.size()));
  const Bytes payload = input.subspan(key.size());
  std::uint64_t meta = 0;
  if (payload.size() >= 16) {
    const std::uint64_t last = 16 + 12 * std::uint64_t{load_le<std::uint32_t>(payload.data())};
    if (last + 4 <= payload.size())
      meta = load_le<std::uint32_t>(payload.data() + last) * std::uint64_t{page_bytes};
  }
  const auto index = Index::parse(payload, {0, meta}, {1, 2});
  if (!index) return 0;
  const std::uint32_t block = index->find(key);
  if (block > index->count()) std::abort();
  for (std::size_t bytes = 0; bytes < key.size(); ++bytes) {
    if (index->find(key.first(bytes)) > block) std::abort();
  }
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < index->count(); ++i) {
    const BlockHandle handle = index->block(i);
    if (handle.offset != end || handle.bytes == 0) std::abort();
    end = handle.offset + handle.bytes;
  }
  if (end != meta) std::abort();
  return 0;
}

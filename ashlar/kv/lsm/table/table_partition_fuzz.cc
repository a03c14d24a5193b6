/// A partition that parses answers for any key with a block of its own, or the one after them.

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "ashlar/kv/lsm/table/table_partition.h"

using namespace ashlar;
using namespace ashlar::lsm;

/// Input: one byte n, a key of n bytes at most, the partition. What it is about is believed, so that some
/// parse.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes input{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  const Bytes key = input.first(std::min<std::size_t>(data[0], input.size()));
  const Bytes payload = input.subspan(key.size());
  PartitionScope scope;
  if (payload.size() >= partition_header_bytes) {
    scope.first_block = load_le<std::uint32_t>(payload.data());
    const std::uint64_t index = load_le<std::uint32_t>(payload.data() + 8);
    if (index <= payload.size() && index >= 16) {
      const Bytes of_index = payload.last(index);
      scope.blocks = load_le<std::uint32_t>(of_index.data());
      const std::uint64_t pages = 16 + 8 * std::uint64_t{scope.blocks},
                          last = pages + 4 * std::uint64_t{scope.blocks};
      if (last + 4 <= index) {
        scope.range.from = load_le<std::uint32_t>(of_index.data() + pages) * std::uint64_t{page_bytes};
        scope.range.to = load_le<std::uint32_t>(of_index.data() + last) * std::uint64_t{page_bytes};
      }
    }
  }
  const auto partition = TablePartition::parse(payload, scope, {1, 2});
  if (!partition) return 0;
  (void)partition->may_contain(key_hash(key));
  const std::uint32_t block = partition->find(key);
  if (block - scope.first_block > scope.blocks) std::abort();
  return 0;
}

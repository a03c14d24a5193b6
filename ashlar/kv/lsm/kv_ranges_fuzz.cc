/// Any bytes are a section of erased ranges or an error; what is read is written again as the same ranges.

#include <cstdint>
#include <cstdlib>

#include "ashlar/kv/lsm/table/range_section.h"

using namespace ashlar;
using namespace ashlar::lsm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes payload{reinterpret_cast<const std::byte*>(data), size};
  const auto ranges = decode_ranges(payload, {.object = 1, .offset = 2});
  if (!ranges) {
    if (ranges.error().code != Errc::corrupt) std::abort();
    return 0;
  }
  const auto again = decode_ranges(encode_ranges(*ranges), {});
  if (!again || *again != *ranges) std::abort();
  const auto set = RangeSet::make(*ranges);
  for (const ErasedRange& range : *ranges) {
    if (set->covering(as_bytes(range.first), range.sequence) != range.sequence) std::abort();
    if (!range.end.empty() && range.covers(as_bytes(range.end))) std::abort();
  }
  return 0;
}

/// A filter that parses answers for any hash; one that was built from hashes lets them through.

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "ashlar/kv/lsm/table/filter.h"

using namespace ashlar;
using namespace ashlar::lsm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input{reinterpret_cast<const std::byte*>(data), size};
  const auto for_each_hash = [&](auto what) {
    for (std::size_t at = 0; at + 8 <= size; at += 8) what(load_le<std::uint64_t>(input.data() + at));
  };
  if (const auto filter = Filter::parse(input, {1, 2})) {
    for_each_hash([&](std::uint64_t hash) { (void)filter->may_contain(hash); });
  }
  if (size < 8) return 0;
  const FilterKind kind = data[1] % 2 == 0 ? FilterKind::bloom : FilterKind::ribbon;
  FilterBuilder builder(1 + data[0] % 30, kind);
  for_each_hash([&](std::uint64_t hash) { builder.add(hash); });
  std::vector<std::byte> payload(builder.payload_bytes());
  builder.finish(payload.data());
  const auto built = Filter::parse(payload, {1, 2});
  if (!built) std::abort();
  for_each_hash([&](std::uint64_t hash) {
    if (!built->may_contain(hash)) std::abort();
  });
  return 0;
}

/// Properties that decode encode to something that decodes to the same.

#include <cstdint>
#include <cstdlib>

#include "ashlar/kv/lsm/table/properties.h"

using namespace ashlar;
using namespace ashlar::lsm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto properties = Properties::decode({reinterpret_cast<const std::byte*>(data), size}, {1, 2});
  if (!properties) return 0;
  const auto again = Properties::decode(properties->encode(), {1, 2});
  if (!again || *again != *properties) std::abort();
  return 0;
}

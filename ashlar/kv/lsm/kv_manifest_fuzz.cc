/// Edits that decode encode to what decodes to the same; a state takes an edit whole or not at all.

#include <cstdint>
#include <cstdlib>

#include "ashlar/kv/lsm/manifest.h"

using namespace ashlar;
using namespace ashlar::lsm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto edit =
      Edit::decode({reinterpret_cast<const std::byte*>(data), size}, {.object = 1, .offset = 2});
  if (!edit) return 0;
  const auto again = Edit::decode(edit->encode(), {});
  if (!again || again->encode() != edit->encode()) std::abort();
  ManifestState state;
  const auto before = state.snapshot().encode();
  if (!state.apply(*edit, {})) {
    if (state.snapshot().encode() != before) std::abort();
    return 0;
  }
  ManifestState restored;
  if (!restored.apply(state.snapshot(), {}) || restored.tables != state.tables ||
      restored.values != state.values)
    std::abort();
  return 0;
}

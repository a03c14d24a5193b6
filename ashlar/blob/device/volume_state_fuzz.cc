/// Any bytes are an edit that applies, or an error; what applied comes back from its snapshot.

#include <cstdlib>

#include "ashlar/blob/device/volume_state.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace ashlar::blob;
  VolumeState state;
  if (!state.apply({reinterpret_cast<const std::byte*>(data), size}, 7, {})) return 0;
  const std::vector<std::byte> snapshot = state.snapshot(7);
  VolumeState again;
  if (!again.apply(snapshot, 7, {}) || again.snapshot(7) != snapshot) std::abort();
  return 0;
}

// Any bytes as a root's file, and any text as a file's name.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ashlar/blob/directory/file_name.h"
#include "ashlar/blob/directory/roots.h"

using namespace ashlar;
using namespace ashlar::blob;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input(reinterpret_cast<const std::byte*>(data), size);
  if (const auto root = decode_root(1, input)) {
    std::vector<std::byte> again(root_image_bytes(root->payload.size()));
    encode_root(1, root->generation, root->payload, again);
    if (!equal(Bytes(again).first(32 + root->payload.size()), input.first(32 + root->payload.size())))
      std::abort();
  }
  (void)parse_file_name(as_text(input));
  return 0;
}

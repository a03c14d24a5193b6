/// What decodes encodes to what decodes to the same; a frame that opens is inside of its blocks.
/// Byte 0 says what the rest is: a reference, a footer's page, or blocks with a value at 16.

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "ashlar/base/endian.h"
#include "ashlar/kv/lsm/table/value_table.h"

using namespace ashlar;
using namespace ashlar::lsm;

namespace {

void fuzz_reference(Bytes bytes) {
  const auto ref = ValueRef::decode(bytes, {});
  if (!ref) return;
  std::byte memory[value_ref_bytes_max];
  const auto again = ValueRef::decode({memory, ref->encode(memory)}, {});
  if (!again || *again != *ref || ref->read_bytes() < ref->bytes) std::abort();
}

void fuzz_footer(Bytes bytes) {
  std::vector<std::byte> page(page_bytes);
  std::copy_n(bytes.begin(), std::min(bytes.size(), page.size()), page.begin());
  for (const std::uint64_t pages : {2, 3}) {
    const auto footer = ValueFooter::decode(page, 1, pages * page_bytes, 0);
    if (footer && ValueFooter::file_bytes(footer->data_end) != pages * page_bytes) std::abort();
  }
}

void fuzz_value(Bytes bytes) {
  if (bytes.size() < 32 || bytes.size() > 1 << 20) return;
  const ValueRef ref{.table = 1,
                     .offset = 16,
                     .bytes = static_cast<std::uint32_t>(bytes.size() - 16),
                     .size = std::uint32_t{load_le<std::uint32_t>(bytes.data() + 28)}};
  const auto frame = open_value(bytes, ref);
  if (!frame || frame->compression == Compression::none) return;
  std::vector<std::byte> raw(frame->raw_bytes);
  (void)decompress(*frame, raw, ref.place());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes rest{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  switch (data[0] % 3) {
    case 0: fuzz_reference(rest); break;
    case 1: fuzz_footer(rest); break;
    case 2: fuzz_value(rest); break;
  }
  return 0;
}

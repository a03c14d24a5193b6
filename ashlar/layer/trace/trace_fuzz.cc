/// Any bytes are a header, a chunk, or an error: each is decoded as it is, and again under a right checksum.
/// What decodes is encoded again to the same entries.

#include <cstdlib>
#include <vector>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/layer/trace/trace_format.h"

namespace {

using namespace ashlar;
using namespace ashlar::trace;

void decode_as_chunk(Bytes slot, std::uint64_t trace) {
  ChunkHeader header;
  if (examine(slot, trace, header) != Slot::chunk) return;
  std::vector<Entry> entries;
  if (!decode_entries(slot, header, entries)) {
    if (!entries.empty()) std::abort();
    return;
  }
  if (entries.size() != header.entries) std::abort();
  std::vector<std::byte> memory(chunk_bytes);
  ChunkWriter writer(memory, header.base_ns);
  std::size_t added = 0;
  for (; added < entries.size() && !writer.full(); ++added) writer.add(entries[added]);
  writer.finish(trace, header.shard, header.ordinal, header.dropped);
  ChunkHeader header_again;
  std::vector<Entry> again;
  if (examine(memory, trace, header_again) != Slot::chunk) std::abort();
  if (!decode_entries(memory, header_again, again)) std::abort();
  entries.resize(added);
  if (again != entries) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data),
                               reinterpret_cast<const std::byte*>(data) + size);
  static_cast<void>(decode_header(bytes));
  decode_as_chunk(bytes, 0);
  if (size < chunk_header_bytes || size > chunk_bytes) return 0;
  store_le(bytes.data() + 4, std::uint32_t{0x31725441});  // "ATr1"
  store_le(bytes.data() + 36, static_cast<std::uint32_t>(size - chunk_header_bytes));
  store_le(bytes.data(), crc32c(Bytes(bytes).subspan(4)));
  decode_as_chunk(bytes, load_le<std::uint64_t>(bytes.data() + 8));
  bytes.resize(header_bytes);
  store_le(bytes.data() + 4, std::uint32_t{0x48725441});  // "ATrH"
  store_le(bytes.data() + 8, std::uint32_t{1});
  store_le(bytes.data(), crc32c(Bytes(bytes).subspan(4)));
  static_cast<void>(decode_header(bytes));
  return 0;
}

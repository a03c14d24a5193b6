#include "ashlar/layer/trace/trace_file.h"

#include <fcntl.h>

#include <algorithm>
#include <tuple>

#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/ops/file.h"

namespace ashlar::trace {

namespace {

Result<> take(Bytes slot, Trace& trace, std::uint64_t entries_max) {
  ChunkHeader header;
  switch (examine(slot, trace.header.number, header)) {
    case Slot::nothing: ++trace.nothing; return {};
    case Slot::damaged: ++trace.damaged; return {};
    case Slot::chunk: break;
  }
  ++trace.chunks;
  trace.dropped += header.dropped;
  TRY(decode_entries(slot, header, trace.entries));
  if (trace.entries.size() > entries_max) return fail(Errc::too_large, "load trace: too many entries");
  return {};
}

Task<Result<Trace>> load(const File& file, std::uint64_t entries_max) {
  const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate(chunk_bytes));
  std::size_t size = CO_TRY(co_await file.read(buffer.bytes().first(header_bytes), 0));
  Trace trace;
  trace.header = CO_TRY(decode_header(buffer.bytes().first(size)));
  for (std::uint64_t offset = header_bytes;; offset += chunk_bytes) {
    size = CO_TRY(co_await file.read(buffer.bytes(), offset));
    if (size == 0) break;
    if (auto taken = take(buffer.bytes().first(size), trace, entries_max); !taken) {
      taken.error().offset += offset;
      co_return std::unexpected(taken.error());
    }
  }
  for (std::uint32_t place = 0; Entry & entry : trace.entries) entry.place = place++;
  std::ranges::sort(trace.entries, {}, [](const Entry& entry) {
    return std::tuple(entry.submitted_ns(), entry.shard, entry.place);
  });
  co_return trace;
}

}  // namespace

Task<Result<Trace>> load(std::string path, std::uint64_t entries_max) {
  File file = CO_TRY(co_await File::open(std::move(path), O_RDONLY));
  auto trace = co_await load(file, entries_max);
  CO_TRY(co_await file.close());
  co_return trace;
}

}  // namespace ashlar::trace

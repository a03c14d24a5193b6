#include "ashlar/block/send_blocks.h"

#include <algorithm>
#include <utility>

#include "ashlar/base/units.h"
#include "ashlar/runtime/memory/regions.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar {

namespace {

constexpr std::uint64_t piece_bytes = 256_KiB;

/// A refusal costs the kernel's pinning of pages, no more.
void let_ring_know(const IoBuffer& buffer) {
  Regions& regions = Regions::process();
  regions.keep_pages(buffer.region());
  static_cast<void>(Shard::current().backend().register_region(
      buffer.region(), {regions.at(buffer.region()).data, Region::bytes}));
}

Task<Result<>> read_piece(Channel& from, Lba lba, MutableBytes into) {
  if (into.empty()) co_return Result<>{};
  co_return co_await from.read(lba, into);
}
Task<Result<>> send_piece(const Socket& to, const IoBuffer& buffer, std::size_t bytes) {
  if (bytes == 0) co_return Result<>{};
  co_return co_await to.send_zero_copy(buffer, bytes);
}

}  // namespace

Task<Result<>> send_blocks(const Socket& to, Channel& from, Lba lba, std::uint64_t blocks) {
  const std::uint64_t block = from.geometry().block_bytes;
  const std::uint64_t piece = std::max(piece_bytes / block, std::uint64_t{1});  // blocks
  IoBuffer ahead = CO_TRY(from.allocate_buffer(piece * block));
  IoBuffer full = CO_TRY(from.allocate_buffer(piece * block));
  let_ring_know(ahead);
  let_ring_know(full);
  std::uint64_t in_full = 0;
  for (std::uint64_t at = 0; at < blocks || in_full != 0;) {
    const std::uint64_t count = std::min(piece, blocks - at);
    auto [read, sent] =
        co_await when_all(read_piece(from, Lba(lba.value + at), ahead.bytes().first(count * block)),
                          send_piece(to, full, in_full * block));
    CO_TRY(read);
    CO_TRY(sent);
    std::swap(ahead, full);
    in_full = count;
    at += count;
  }
  co_return Result<>{};
}

}  // namespace ashlar

/// A write puts a version of each of its blocks here, and is acknowledged. Destaging, by one task at a time:
///
/// 1. Takes a run of neighbouring blocks, and copies the latest version of each.
/// 2. Writes the run to the medium.
/// 3. Drops those versions and older ones; what was written to the blocks meanwhile stays.
///
/// Reads take what is here when they begin, and the rest from the medium. A version that is destaged
/// meanwhile is on the medium before it leaves; one that comes meanwhile belongs to a write in flight
/// together with the read.

#include "ashlar/layer/fault/write_cache.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ashlar/base/units.h"
#include "ashlar/layer/fault/segments.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

namespace {

constexpr std::uint64_t run_bytes_max = 1_MiB;
constexpr std::uint64_t everything = ~std::uint64_t{0};

struct Run {
  std::uint64_t first, blocks;
};

}  // namespace

Task<Result<>> WriteCache::serve(const Request& request) {
  switch (request.op) {
    case Op::read: return read(request);
    case Op::flush: return flush();
    case Op::trim:
    case Op::write_zeroes: return pass(request);
    case Op::write:
    case Op::compare_and_write: break;
  }
  // What is here a power cut may tear, but for single blocks: an atomic write goes through, as one, where the
  // medium takes it.
  const bool through = request.options.atomic && medium_.geometry().atomic_write_bytes_max != 0;
  return through ? pass(request) : write(request);
}

Task<Result<>> WriteCache::read(const Request& request) {
  const std::uint64_t block = block_bytes();
  std::vector<Run> missing;
  for (std::uint64_t i = 0; i < request.blocks; ++i) {
    if (const auto found = blocks_.find(request.lba.value + i); found != blocks_.end()) {
      scatter({found->second.back().data.get(), block}, request.data, i * block);
    } else if (!missing.empty() && missing.back().first + missing.back().blocks == i) {
      ++missing.back().blocks;
    } else {
      missing.push_back({i, 1});
    }
  }
  if (missing.size() == 1 && missing.front().blocks == request.blocks)
    co_return co_await medium_.repeat(request);
  for (const Run& run : missing) {
    const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate(run.blocks * block));
    CO_TRY(co_await medium_.read(Lba(request.lba.value + run.first), buffer, request.options));
    scatter(buffer.bytes(), request.data, run.first * block);
  }
  co_return Result<>{};
}

Task<Result<>> WriteCache::write(const Request& request) {
  const std::uint64_t block = block_bytes(), first = request.lba.value, end = first + request.blocks;
  const std::uint64_t cuts = cuts_;
  if (bytes_ + request.blocks * block > bytes_max_) CO_TRY(co_await destage(0, everything, {}));
  if (cuts != cuts_) co_return fail_errno(ENODEV, to_string(request.op));
  ++writes_;
  for (std::uint64_t i = 0; i < request.blocks; ++i) {
    auto data = std::make_unique_for_overwrite<std::byte[]>(block);
    gather(request.data, i * block, {data.get(), block});
    blocks_[first + i].push_back({writes_, std::move(data)});
  }
  bytes_ += request.blocks * block;
  IoOptions options = request.options;
  options.atomic = false;
  if (!options.durable) co_return Result<>{};
  const std::uint64_t written = CO_TRY(co_await destage(first, end, options));
  // What another task destaged meanwhile may still be in a cache of the medium.
  if (written < request.blocks) co_return co_await medium_.flush(request.lba, request.blocks);
  co_return Result<>{};
}

/// What gives up contents goes through, and takes along what is cached of it.
Task<Result<>> WriteCache::pass(const Request& request) {
  const std::uint64_t cuts = cuts_, before = writes_;
  const MutexLock lock = co_await destaging_.lock();
  if (cuts != cuts_) co_return fail_errno(ENODEV, to_string(request.op));
  CO_TRY(co_await medium_.repeat(request));
  drop(request.lba.value, request.lba.value + request.blocks, before);
  co_return Result<>{};
}

Task<Result<>> WriteCache::flush() {
  CO_TRY(co_await destage(0, everything, {}));
  co_return co_await medium_.flush();
}

Task<Result<std::uint64_t>> WriteCache::destage(std::uint64_t first, std::uint64_t end, IoOptions options) {
  const MutexLock lock = co_await destaging_.lock();
  IoBuffer buffer;
  std::uint64_t written = 0;
  for (auto at = blocks_.lower_bound(first); at != blocks_.end() && at->first < end;
       at = blocks_.lower_bound(first)) {
    if (!buffer) buffer = CO_TRY(Shard::current().buffers().allocate_regardless(run_bytes_max));
    first = at->first;
    std::uint64_t blocks = 0;
    const std::uint64_t latest = writes_;
    for (; at != blocks_.end() && at->first < end && at->first == first + blocks &&
           (blocks + 1) * block_bytes() <= run_bytes_max;
         ++at, ++blocks)
      std::ranges::copy(Bytes(at->second.back().data.get(), block_bytes()),
                        buffer.data() + blocks * block_bytes());
    CO_TRY(co_await medium_.write(Lba(first), buffer.bytes().first(blocks * block_bytes()), options));
    drop(first, first + blocks, latest);
    first += blocks;
    written += blocks;
  }
  co_return written;
}

void WriteCache::drop(std::uint64_t first, std::uint64_t end, std::uint64_t up_to) noexcept {
  for (auto at = blocks_.lower_bound(first); at != blocks_.end() && at->first < end;) {
    bytes_ -= std::erase_if(at->second, [up_to](const Version& version) { return version.number <= up_to; }) *
              block_bytes();
    at = at->second.empty() ? blocks_.erase(at) : std::next(at);
  }
}

Task<Result<std::uint64_t>> WriteCache::cut(Random& random) {
  ++cuts_;
  const MutexLock lock = co_await destaging_.lock();
  const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate_regardless(block_bytes()));
  const auto blocks = std::exchange(blocks_, {});
  bytes_ = 0;
  std::uint64_t lost = 0;
  for (const auto& [lba, versions] : blocks) {
    const std::uint64_t left = random.below(versions.size() + 1);  // 0: what the medium has
    if (left != versions.size()) ++lost;
    if (left == 0) continue;
    std::ranges::copy(Bytes(versions[left - 1].data.get(), block_bytes()), buffer.data());
    CO_TRY(co_await medium_.write(Lba(lba), buffer.bytes().first(block_bytes())));
  }
  co_return lost;
}

Task<> WriteCache::lose_some(Random& random) {
  const MutexLock lock = co_await destaging_.lock();
  for (auto at = blocks_.begin(); at != blocks_.end();) {
    if (random.one_in(2)) {
      ++at;
      continue;
    }
    bytes_ -= at->second.size() * block_bytes();
    at = blocks_.erase(at);
  }
}

}  // namespace ashlar

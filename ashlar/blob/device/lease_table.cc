#include "ashlar/blob/device/lease_table.h"

#include <algorithm>

#include "ashlar/runtime/shard/shard.h"

namespace ashlar::blob {

namespace {

// Of each block, as format leaves it; the older copy has one less.
constexpr std::uint64_t format_generation = 2;

Lba lba(const Channel& channel, std::uint64_t byte) noexcept {
  return Lba(byte / channel.geometry().block_bytes);
}

}  // namespace

void LeaseTable::encode(std::uint64_t block, std::uint64_t generation, MutableBytes into) const noexcept {
  LeaseBlock content{.generation = generation};
  for (std::uint64_t i = 0; i < leases_per_block; ++i) {
    const std::uint64_t chunk = block * leases_per_block + i;
    const std::uint32_t owner = chunk < owners_.size() ? owners_[chunk] : 0;
    content.owners[i] = owner == chosen ? 0 : owner;
  }
  content.encode(layout_.id, block, into);
}

Task<Result<>> LeaseTable::create() {
  owners_.assign(layout_.chunk_count, 0);
  const IoBuffer memory = CO_TRY(Shard::current().buffers().allocate_regardless(block_bytes));
  for (std::uint64_t block = 0; block < layout_.lease_blocks; ++block) {
    for (unsigned copy = 0; copy < 2; ++copy) {
      encode(block, format_generation - 1 + copy, memory.bytes());
      CO_TRY(co_await channel_.write(lba(channel_, table_at(copy, block)), memory));
    }
  }
  co_return Result<>{};
}

/// The newer of the two copies of a block: its generation, and the owners.
Task<Result<std::uint64_t>> LeaseTable::read(std::uint64_t block, MutableBytes memory,
                                             std::uint32_t* owners) {
  std::uint64_t newest = 0;
  for (unsigned copy = 0; copy < 2; ++copy) {
    CO_TRY(co_await channel_.read(lba(channel_, table_at(copy, block)), memory));
    const auto found = LeaseBlock::decode(layout_.id, block, memory);
    if (!found || found->generation <= newest) continue;
    if (found->generation % 2 != (copy + 1) % 2)
      co_return fail(Errc::corrupt, "lease table: a copy in the other's place",
                     {.offset = table_at(copy, block)});
    newest = found->generation;
    std::ranges::copy(found->owners, owners);
  }
  if (newest == 0) co_return fail(Errc::corrupt, "lease table", {.offset = table_at(0, block)});
  co_return newest;
}

Task<Result<>> LeaseTable::grow() {
  const std::uint64_t before = generations_.size();
  const std::uint64_t blocks = (layout_.chunk_count + leases_per_block - 1) / leases_per_block;
  std::vector<std::uint64_t> generations;
  const IoBuffer memory = CO_TRY(Shard::current().buffers().allocate_regardless(block_bytes));
  for (std::uint64_t block = before; block < blocks; ++block) {
    std::vector<std::uint32_t> owners(leases_per_block);
    generations.push_back(CO_TRY(co_await read(block, memory.bytes(), owners.data())));
    if (std::ranges::any_of(owners, [](std::uint32_t owner) { return owner != 0; }))
      co_return fail(Errc::corrupt, "lease table: a chunk beyond the last is lent",
                     {.offset = table_at(0, block)});
  }
  generations_.insert(generations_.end(), generations.begin(), generations.end());
  free_chunks_.fetch_add(layout_.chunk_count - owners_.size(), std::memory_order_relaxed);
  owners_.resize(layout_.chunk_count, 0);
  chunks_.store(owners_.size(), std::memory_order_relaxed);
  co_return Result<>{};
}

Task<Result<>> LeaseTable::load() {
  const std::uint64_t blocks = (layout_.chunk_count + leases_per_block - 1) / leases_per_block;
  owners_.assign(blocks * leases_per_block, 0);
  generations_.assign(blocks, 0);
  const IoBuffer memory = CO_TRY(Shard::current().buffers().allocate_regardless(block_bytes));
  for (std::uint64_t block = 0; block < blocks; ++block) {
    std::uint32_t* const owners = owners_.data() + block * leases_per_block;
    generations_[block] = CO_TRY(co_await read(block, memory.bytes(), owners));
  }
  for (std::uint64_t chunk = 0; chunk < owners_.size(); ++chunk) {
    const bool beyond = owners_[chunk] != 0 && chunk >= layout_.chunk_count;
    if (beyond || !LeaseBlock::possible(owners_[chunk]))
      co_return fail(Errc::corrupt, "lease table: a chunk that nobody can have",
                     {.object = chunk, .offset = table_at(0, chunk / leases_per_block)});
  }
  owners_.resize(layout_.chunk_count);
  chunks_ = owners_.size();
  const std::vector<VolumeNumber> heads = volumes();
  if (std::ranges::adjacent_find(heads) != heads.end())
    co_return fail(Errc::corrupt, "lease table: a volume with two heads", {.offset = layout_.lease_at});
  free_chunks_ = static_cast<std::uint64_t>(std::ranges::count(owners_, 0u));
  co_return Result<>{};
}

/// In place, the same bytes: torn, it loses nothing. Blocks as format wrote them are durable: superblocks
/// were written after them.
Task<Result<>> LeaseTable::write_again() {
  for (std::uint64_t block = 0; block < generations_.size(); ++block) {
    if (generations_[block] > format_generation) CO_TRY(co_await write(block, generations_[block]));
  }
  co_return Result<>{};
}

Task<Result<>> LeaseTable::write(std::uint64_t block, std::uint64_t generation) {
  if (stopped_) co_return fail(Errc::stopped, "lease table");
  const IoBuffer memory = CO_TRY(Shard::current().buffers().allocate_regardless(block_bytes));
  encode(block, generation, memory.bytes());
  const std::uint64_t at = table_at((generation + 1) % 2, block);  // odd generations are in the first table
  const Result<> written = co_await channel_.write(lba(channel_, at), memory, {.durable = true});
  stopped_ = !written;  // which of the two copies counts is not known until the device is opened again
  if (written) generations_[block] = generation;
  co_return written;
}

Task<Result<>> LeaseTable::set(std::uint64_t chunk, std::uint32_t owner) {
  const MutexLock lock = co_await changing_.lock();
  const std::uint32_t before = std::exchange(owners_[chunk], owner);
  const std::uint64_t block = chunk / leases_per_block;
  const Result<> written = co_await write(block, generations_[block] + 1);
  if (!written) {
    owners_[chunk] = before;
  } else if (owner == 0) {
    free_chunks_.fetch_add(1, std::memory_order_relaxed);
  }
  co_return written;
}

std::optional<std::uint64_t> LeaseTable::choose() {
  for (std::uint64_t i = 0; i < owners_.size(); ++i) {
    const std::uint64_t chunk = (next_ + i) % owners_.size();
    if (owners_[chunk] != 0) continue;
    next_ = chunk + 1;
    owners_[chunk] = chosen;
    free_chunks_.fetch_sub(1, std::memory_order_relaxed);
    return chunk;
  }
  return std::nullopt;
}

void LeaseTable::let_go(std::uint64_t chunk) noexcept {
  owners_[chunk] = 0;
  free_chunks_.fetch_add(1, std::memory_order_relaxed);
}

Task<Result<std::optional<std::uint64_t>>> LeaseTable::lend(VolumeNumber volume, bool head) {
  const auto chunk = choose();
  if (!chunk) co_return std::optional<std::uint64_t>();
  const Result<> lent = co_await set(*chunk, volume | (head ? head_bit : 0));
  if (!lent) {
    let_go(*chunk);
    co_return std::unexpected(lent.error());
  }
  co_return chunk;
}

Task<Result<>> LeaseTable::lend_chosen(std::uint64_t chunk, VolumeNumber volume) {
  co_return co_await set(chunk, volume | head_bit);
}

Task<Result<>> LeaseTable::give_back(std::uint64_t chunk) {
  co_return co_await set(chunk, 0);
}

std::optional<std::uint64_t> LeaseTable::head_of(VolumeNumber volume) const noexcept {
  const auto found = std::ranges::find(owners_, volume | head_bit);
  if (found == owners_.end()) return std::nullopt;
  return static_cast<std::uint64_t>(found - owners_.begin());
}

std::vector<std::uint64_t> LeaseTable::chunks_of(VolumeNumber volume) const {
  std::vector<std::uint64_t> chunks;
  for (std::uint64_t chunk = 0; chunk < owners_.size(); ++chunk) {
    if (owners_[chunk] != chosen && (owners_[chunk] & ~head_bit) == volume) chunks.push_back(chunk);
  }
  return chunks;
}

std::vector<VolumeNumber> LeaseTable::volumes() const {
  std::vector<VolumeNumber> found;
  for (const std::uint32_t owner : owners_) {
    if ((owner & head_bit) != 0) found.push_back(owner & ~head_bit);
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace ashlar::blob

#include "ashlar/blob/device/blob_device.h"

#include <algorithm>
#include <utility>

#include "ashlar/base/endian.h"
#include "ashlar/base/log.h"
#include "ashlar/blob/device/volume.h"
#include "ashlar/blob/device/volume_log.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::blob {

namespace {

constexpr std::uint64_t chunk_bytes_default = std::uint64_t{64} << 20;
constexpr std::uint64_t chunks_wanted = 64;  // of a small device: the default chunk would waste much of it

Lba lba(const Channel& channel, std::uint64_t byte) noexcept {
  return Lba(byte / channel.geometry().block_bytes);
}

std::uint64_t default_chunk_bytes(std::uint64_t device_bytes) noexcept {
  std::uint64_t chunk = chunk_bytes_default;
  while (chunk > chunk_bytes_min && device_bytes / chunk < chunks_wanted) chunk /= 2;
  return chunk;
}

Result<> check_blocks(const Geometry& geometry) {
  if (geometry.block_bytes > block_bytes)
    return fail(Errc::unsupported, "blobs need logical blocks of at most 4 KiB");
  if (geometry.memory_alignment > block_bytes)
    return fail(Errc::unsupported, "blobs need memory alignment of at most 4 KiB");
  return {};
}

}  // namespace

int SuperblockCopies::best() const noexcept {
  int best = -1;
  for (int i = 0; i < 2; ++i) {
    if (found[i] == Superblock::Found::valid && (best < 0 || copy[i].generation > copy[best].generation))
      best = i;
  }
  return best;
}

Task<Result<SuperblockCopies>> read_superblocks(Channel& channel) {
  SuperblockCopies copies;
  const IoBuffer memory = CO_TRY(Shard::current().buffers().allocate_regardless(block_bytes));
  for (unsigned i = 0; i < 2; ++i) {
    CO_TRY(co_await channel.read(lba(channel, superblock_at[i]), memory));
    copies.found[i] = Superblock::decode(memory.bytes(), copies.copy[i]);
  }
  co_return copies;
}

Task<Result<>> write_superblock(Channel& channel, const Superblock& superblock, std::size_t copy) {
  const IoBuffer memory = CO_TRY(Shard::current().buffers().allocate_regardless(block_bytes));
  superblock.encode(memory.bytes());
  CO_TRY(co_await channel.write(lba(channel, superblock_at[copy]), memory));
  co_return co_await channel.flush();
}

Task<Result<>> write_superblocks(Channel& channel, const Superblock& superblock) {
  for (std::size_t copy = 0; copy < superblock_at.size(); ++copy)
    CO_TRY(co_await write_superblock(channel, superblock, copy));
  co_return Result<>{};
}

Task<Result<>> format_device(Device& device, FormatOptions options) {
  CO_TRY(check_blocks(device.geometry()));
  const std::uint64_t device_bytes = device.geometry().bytes();
  const std::uint64_t chunk =
      options.chunk_bytes != 0 ? options.chunk_bytes : default_chunk_bytes(device_bytes);
  auto layout = device_bytes < 2 * lease_tables_at ? std::nullopt
                                                   : Superblock::plan(device_bytes, chunk, options.growth);
  if (!layout)
    co_return fail(Errc::invalid, "format: the device is too small, or the chunk size is no power of two");

  Channel& channel = *CO_TRY(co_await device.channel());
  if (!options.overwrite) {
    const SuperblockCopies copies = CO_TRY(co_await read_superblocks(channel));
    for (const Superblock::Found found : copies.found) {
      if (found == Superblock::Found::zeroes) continue;
      const bool blobs = found != Superblock::Found::damaged;
      co_return fail(Errc::exists, blobs ? "format: the device holds blobs" : "format: the device is in use");
    }
  }
  Backend& backend = Shard::current().backend();
  for (std::size_t i = 0; i < layout->id.size(); i += 8) store_le(layout->id.data() + i, backend.random());
  layout->created_ms = backend.wall_ms();

  const std::uint64_t blocks = block_bytes / channel.geometry().block_bytes;
  for (const std::uint64_t at : superblock_at)
    CO_TRY(co_await channel.write_zeroes(lba(channel, at), blocks));
  CO_TRY(co_await channel.flush());
  LeaseTable leases(channel, *layout);
  CO_TRY(co_await leases.create());
  CO_TRY(co_await channel.flush());
  co_return co_await write_superblocks(channel, *layout);
}

BlobDevice::BlobDevice(Device& device) noexcept : device_(device), home_(Shard::current().id()) {}

BlobDevice::~BlobDevice() {
  assert(open_.empty() && "close the stores first");
}

Task<Result<std::unique_ptr<BlobDevice>>> BlobDevice::open(Device& device) {
  std::unique_ptr<BlobDevice> opened(new BlobDevice(device));
  CO_TRY(co_await opened->start());
  co_return opened;
}

Task<Result<>> BlobDevice::start() {
  CO_TRY(check_blocks(device_.geometry()));
  Channel& channel = *CO_TRY(co_await device_.channel());
  CO_TRY(co_await channel.flush());
  CO_TRY(co_await read_superblock(channel));
  CO_TRY(co_await follow_size(channel));
  leases_ = std::make_unique<LeaseTable>(channel, layout_);
  CO_TRY(co_await leases_->load());
  co_return co_await leases_->write_again();
}

Task<Result<>> BlobDevice::read_superblock(Channel& channel) {
  if (device_.geometry().bytes() < 2 * lease_tables_at)
    co_return fail(Errc::invalid, "the device is too small for blobs");
  const SuperblockCopies copies = CO_TRY(co_await read_superblocks(channel));
  for (const Superblock::Found found : copies.found) {
    if (found == Superblock::Found::unknown_version)
      co_return fail(Errc::unsupported, "superblock: a newer format");
  }
  const int best = copies.best();
  if (best < 0) {
    const bool empty =
        copies.found[0] == Superblock::Found::zeroes && copies.found[1] == Superblock::Found::zeroes;
    co_return empty ? fail(Errc::not_found, "the device is not formatted (ashlar format)")
                    : fail(Errc::corrupt, "superblock: both copies are damaged");
  }
  layout_ = copies.copy[best];
  const int other = best ^ 1;
  const bool same = copies.found[other] == Superblock::Found::valid && copies.copy[other] == layout_;
  // Durable, whatever failed before: docs/formats/blob-device.md, "Open".
  CO_TRY(co_await write_superblock(channel, layout_, static_cast<std::size_t>(best)));
  if (!same) CO_TRY(co_await write_superblock(channel, layout_, static_cast<std::size_t>(other)));
  co_return Result<>{};
}

/// A device that has grown has more chunks, as far as the lease tables have room for them: free ones, as the
/// tables say since format.
Task<Result<>> BlobDevice::follow_size(Channel& channel) {
  const std::uint64_t bytes = channel.geometry().bytes();
  if (bytes < layout_.used_bytes)
    co_return fail(Errc::corrupt, "the device is smaller than its blobs", {.offset = bytes});
  const std::uint64_t chunks = layout_.chunks_in(bytes);
  if (chunks == layout_.chunk_count) co_return Result<>{};
  Superblock grown = layout_;
  ++grown.generation;
  grown.chunk_count = chunks;
  grown.used_bytes = grown.chunk_at(chunks);
  CO_TRY(co_await write_superblocks(channel, grown));
  layout_ = grown;
  co_return Result<>{};
}

Task<Result<>> BlobDevice::create_volume(VolumeNumber number) {
  Channel& channel = *CO_TRY(co_await device_.channel());
  const auto head = leases_->choose();
  if (!head) co_return fail(Errc::no_space, "create volume", {.object = number});
  VolumeLog log(channel, layout_, number, *head);
  Result<> made = co_await log.create();
  if (made) made = co_await leases_->lend_chosen(*head, number);
  if (!made) leases_->let_go(*head);
  co_return made;
}

/// At home: the volume is this caller's until it is closed.
Task<Result<BlobDevice::Admission>> BlobDevice::admit(VolumeNumber number, bool create) {
  if (std::ranges::find(open_, number) != open_.end())
    co_return fail(Errc::busy, "open volume", {.object = number});
  open_.push_back(number);
  Result<> ready;
  if (!leases_->head_of(number)) {
    ready = fail(Errc::not_found, "open volume", {.object = number});
    if (create) ready = co_await create_volume(number);
  }
  if (!ready) {
    std::erase(open_, number);
    co_return std::unexpected(ready.error());
  }
  co_return Admission{*leases_->head_of(number), leases_->chunks_of(number)};
}

Task<Result<std::unique_ptr<Store>>> BlobDevice::open_volume(VolumeNumber number, VolumeOptions options) {
  if (number == 0 || number > volume_max) co_return fail(Errc::invalid, "open volume", {.object = number});
  Admission admission = CO_TRY(co_await invoke(home_, [&] { return admit(number, options.create); }));
  auto channel = co_await device_.channel();
  if (!channel) {
    co_await release(number);
    co_return std::unexpected(channel.error());
  }
  auto volume = std::make_unique<Volume>(*this, **channel, number, admission.head);
  const Result<> opened = co_await volume->open(admission.chunks, options.reserve_bytes);
  if (!opened) {
    (void)co_await volume->close();
    co_return std::unexpected(opened.error());
  }
  co_return volume;
}

Task<Result<std::optional<std::uint64_t>>> BlobDevice::lend(VolumeNumber volume) {
  co_return co_await invoke(home_, [&] { return lend_at_home(volume); });
}

Task<Result<std::optional<std::uint64_t>>> BlobDevice::lend_at_home(VolumeNumber volume) {
  if (leases_->free_chunks() == 0) CO_TRY(co_await grow());
  co_return co_await leases_->lend(volume, false);
}

/// At home, where no chunk is free: the device may have grown since it was opened. Only what other shards do
/// not read changes in the layout.
Task<Result<>> BlobDevice::grow() {
  const MutexLock lock = co_await growing_.lock();
  if (leases_->free_chunks() != 0) co_return Result<>{};
  CO_TRY(co_await device_.refresh());
  Channel& channel = *CO_TRY(co_await device_.channel());
  const std::uint64_t chunks = layout_.chunks_in(channel.geometry().bytes());
  if (chunks <= layout_.chunk_count) co_return Result<>{};
  Superblock grown = layout_;
  ++grown.generation;
  grown.chunk_count = chunks;
  grown.used_bytes = grown.chunk_at(chunks);
  CO_TRY(co_await write_superblocks(channel, grown));
  layout_.generation = grown.generation;
  layout_.chunk_count = grown.chunk_count;
  layout_.used_bytes = grown.used_bytes;
  log::info("{}: grown to {} chunks", device_.spec(), chunks);
  co_return co_await leases_->grow();
}

Task<Result<>> BlobDevice::give_back(std::uint64_t chunk) {
  co_return co_await invoke(home_, [&] { return leases_->give_back(chunk); });
}

Task<> BlobDevice::release(VolumeNumber number) {
  co_await invoke(home_, [&] { std::erase(open_, number); });
}

}  // namespace ashlar::blob

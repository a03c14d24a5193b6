#include "ashlar/transport/ram/ram_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "ashlar/base/units.h"
#include "ashlar/block/segment_cursor.h"
#include "ashlar/block/stripe_locks.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

namespace {

struct RamOptions {
  std::uint32_t block_bytes = 512;
};

void describe(OptionSet& set, RamOptions& options) {
  set.add("block", options.block_bytes, block_size_option());
}

/// Anonymous memory of the process; touched pages only.
class Memory {
 public:
  Memory(std::byte* data, std::uint64_t bytes, MemoryCharge charge)
      : data_(data),
        bytes_(bytes),
        charge_(std::move(charge)),
        locks_(Shard::current().mesh().shard_count() > 1) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { ::munmap(data_, bytes_); }

  std::byte* at(std::uint64_t offset) const noexcept { return data_ + offset; }

  /// Calls copy(memory, done, size) for each part of [offset, offset + size) that lies in one stripe.
  template <class Copy>
  void each_part(std::uint64_t offset, std::uint64_t size, Copy copy) noexcept {
    for (std::uint64_t done = 0; done < size;) {
      const std::uint64_t stripe = (offset + done) / StripeLocks::stripe_bytes;
      const std::uint64_t part =
          std::min(size - done, (stripe + 1) * StripeLocks::stripe_bytes - (offset + done));
      locks_.locked(stripe, [&] { copy(at(offset + done), done, part); });
      done += part;
    }
  }

 private:
  std::byte* const data_;
  const std::uint64_t bytes_;
  MemoryCharge charge_;
  StripeLocks locks_;
};

class RamChannel final : public Channel {
 public:
  RamChannel(Device& device, Memory& memory) noexcept : Channel(device), memory_(memory) {}

  void start(Request& request) noexcept override {
    const std::uint64_t block = geometry().block_bytes;
    const std::uint64_t offset = request.lba.value * block;
    switch (request.op) {
      case Op::read:
      case Op::write: copy(request, offset); break;
      case Op::trim:
      case Op::write_zeroes:
        memory_.each_part(
            offset, request.blocks * block,
            [](std::byte* memory, std::uint64_t, std::uint64_t size) { std::memset(memory, 0, size); });
        break;
      case Op::flush:
      case Op::compare_and_write:  // Channel makes it of a read and a write
        break;
    }
    finish(request, {});
  }

 private:
  /// A stripe at a time, whatever segments it lies in: these need not end where blocks do, and no block is a
  /// mixture of two writes.
  void copy(const Request& request, std::uint64_t offset) noexcept {
    const bool reading = request.op == Op::read;
    SegmentCursor cursor(request.data);
    const auto part = [&](std::byte* memory, std::uint64_t, std::uint64_t bytes) {
      cursor.next(bytes, [memory, reading](std::byte* data, std::uint64_t done, std::uint64_t size) {
        if (reading) {
          std::memcpy(data, memory + done, size);
        } else {
          std::memcpy(memory + done, data, size);
        }
      });
    };
    memory_.each_part(offset, request.blocks * geometry().block_bytes, part);
  }

  Memory& memory_;
};

/// The memory itself, or a copy of it.
class RamView final : public DeviceMapping {
 public:
  explicit RamView(MutableBytes memory) noexcept : memory_(memory) {}
  explicit RamView(std::unique_ptr<std::byte[]> copy, std::size_t size) noexcept
      : copy_(std::move(copy)), memory_(copy_.get(), size) {}

  MutableBytes bytes() const noexcept override { return memory_; }
  Result<> ok() const noexcept override { return {}; }
  Task<Result<>> persist(std::uint64_t offset, std::uint64_t size) override {
    if (offset > memory_.size() || size > memory_.size() - offset)
      co_return fail(Errc::invalid, "persist: beyond the end of the view", {.offset = offset});
    co_return Result<>{};
  }
  Task<> release() override { co_return; }

 private:
  std::unique_ptr<std::byte[]> copy_;
  MutableBytes memory_;
};

class RamDevice final : public Device {
 public:
  RamDevice(std::string spec, const Geometry& geometry, std::byte* data, MemoryCharge charge)
      : Device(std::move(spec), geometry), memory_(data, geometry.bytes(), std::move(charge)) {}

  Task<Result<MappedView>> map(Lba lba, std::uint64_t blocks, MapMode mode) override {
    const Geometry now = geometry();
    if (lba.value > now.blocks || blocks > now.blocks - lba.value || blocks == 0)
      co_return fail(Errc::invalid, "map: beyond the end of the device",
                     {.offset = lba.value * now.block_bytes});
    const MutableBytes range(memory_.at(lba.value * now.block_bytes), blocks * now.block_bytes);
    if (mode == MapMode::read_write_sync)
      co_return fail(Errc::unsupported, "map: memory that the process loses keeps no store");
    if (mode != MapMode::private_copy) co_return MappedView(std::make_unique<RamView>(range));
    auto copy = std::make_unique_for_overwrite<std::byte[]>(range.size());
    std::memcpy(copy.get(), range.data(), range.size());
    co_return MappedView(std::make_unique<RamView>(std::move(copy), range.size()));
  }

 private:
  Task<Result<std::unique_ptr<Channel>>> open_channel() override {
    co_return std::make_unique<RamChannel>(*this, memory_);
  }

  Memory memory_;
};

Task<SpecResult<std::unique_ptr<Device>>> open_ram(const Spec& spec, DeviceKind::Children&) {
  const auto options = options_of<RamOptions>(spec);
  if (!options) co_return std::unexpected(options.error());
  const auto size = size_of_target(spec, options->block_bytes);
  if (!size) co_return std::unexpected(size.error());
  auto charge = Shard::current().memory().charge(Purpose::other, *size);
  if (!charge)
    co_return open_failed(spec, Errc::no_memory, "more than the memory cap has left (--runtime-memory-cap)");
  void* const data =
      ::mmap(nullptr, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) co_return open_failed(spec, error_from_errno(errno, "mmap"));
  ::madvise(data, *size, MADV_HUGEPAGE);  // random I/O misses the TLB at each page; a refusal costs only that
  const Geometry geometry{.block_bytes = options->block_bytes,
                          .blocks = *size / options->block_bytes,
                          .physical_block_bytes = options->block_bytes,
                          // Nothing of it outlives the power, and no reader finds half of a stripe.
                          .atomic_write_bytes_min = options->block_bytes,
                          .atomic_write_bytes_max = StripeLocks::stripe_bytes,
                          .write_cache = false,
                          .fua = true,
                          .trim = true,
                          .write_zeroes = true,
                          .mappable = true};
  co_return std::make_unique<RamDevice>(spec.text, geometry, static_cast<std::byte*>(data),
                                        *std::move(charge));
}

}  // namespace

DeviceKind ram_kind() {
  return {.name = "ram",
          .target = "SIZE",
          .help = "memory of this process",
          .describe = describe_as<RamOptions>,
          .open = open_ram};
}

}  // namespace ashlar

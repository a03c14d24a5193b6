#include "ashlar/transport/mmap/mmap_device.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/log.h"
#include "ashlar/base/units.h"
#include "ashlar/block/claim.h"
#include "ashlar/transport/mmap/mmap_channel.h"

namespace ashlar {

namespace {

using Kind = FileTraits::Kind;

constexpr std::uint32_t page_bytes = 4096;

struct MmapOptions {
  std::uint32_t block_bytes = 0;
  bool read_only = false;
  bool private_copy = false;
  bool in_use = false;
};

void describe(OptionSet& set, MmapOptions& options) {
  set.add("block", options.block_bytes,
          {.unit = Unit::bytes,
           .max = 64_KiB,
           .multiple_of = 512,
           .help = "unit of addresses and lengths, a power of two; 0: the device's own"});
  set.add("readonly", options.read_only, {.help = "map for reading only"});
  set.add("private", options.private_copy, {.help = "what is written stays in this process"});
  set.add("in-use", options.in_use,
          {.help = "open a block device for writing although it is claimed (mounted, part of an array)"});
}

/// A view of a file: a mapping of its own, so that its pages are judged by themselves.
class MmapView final : public DeviceMapping {
 public:
  MmapView(Mapping mapping, std::uint64_t inset, std::uint64_t bytes, bool shared) noexcept
      : mapping_(std::move(mapping)), inset_(inset), bytes_(bytes), shared_(shared) {}

  MutableBytes bytes() const noexcept override { return mapping_.bytes().subspan(inset_, bytes_); }
  Result<> ok() const noexcept override { return mapping_.check(); }
  Task<Result<>> persist(std::uint64_t offset, std::uint64_t size) override {
    if (offset > bytes_ || size > bytes_ - offset)
      co_return fail(Errc::invalid, "persist: beyond the end of the view", {.offset = offset});
    if (!shared_) co_return fail(Errc::unsupported, "persist: a private view", {.offset = offset});
    if (size == 0) co_return Result<>{};
    co_return co_await mapping_.sync(inset_ + offset, size);
  }
  Task<> release() override { static_cast<void>(co_await mapping_.unmap()); }

 private:
  Mapping mapping_;
  const std::uint64_t inset_, bytes_;  // the mapping begins at a page
  const bool shared_;
};

/// Thread safety and lifecycle as Device.
class MmapDevice final : public Device {
 public:
  MmapDevice(std::string spec, const Geometry& geometry, Kind kind, std::unique_ptr<MmapShared> shared)
      : Device(std::move(spec), geometry), kind_(kind), shared_(std::move(shared)) {}

  /// By flock(2), as the other transports that reach the same file.
  Task<Result<>> claim() override {
    if (claim_) co_return Result<>{};
    // The file that is mapped, also where its name has gone to another meanwhile. A simulated machine has no
    // /proc.
    const std::string path =
        shared_->detached ? shared_->path : fmt::format("/proc/self/fd/{}", shared_->file.handle().value);
    const bool settles = kind_ == Kind::regular && !shared_->private_copy && !geometry().read_only;
    claim_ = CO_TRY(co_await lock_for_device(path, shared_->file, settles ? geometry().block_bytes : 0));
    co_return Result<>{};
  }

  Task<Result<MappedView>> map(Lba lba, std::uint64_t blocks, MapMode mode) override {
    const Geometry now = geometry();
    const ErrorPlace place{.offset = lba.value * now.block_bytes};
    if (lba.value > now.blocks || blocks > now.blocks - lba.value || blocks == 0)
      co_return fail(Errc::invalid, "map: beyond the end of the device", place);
    if (!now.mappable)
      co_return fail(Errc::unsupported, "map: what the device holds is a copy of its own", place);
    const bool stores = mode == MapMode::read_write || mode == MapMode::read_write_sync;
    if (stores && now.read_only) co_return fail(Errc::permission, "map: the device is read-only", place);
    const std::uint64_t first = place.offset / page_bytes * page_bytes;
    const std::uint64_t inset = place.offset - first, bytes = blocks * now.block_bytes;
    const bool shared = mode != MapMode::private_copy;
    auto mapping = CO_TRY(Mapping::map(shared_->file, first, inset + bytes,
                                       {.writable = mode != MapMode::read_only,
                                        .shared = shared,
                                        .sync = mode == MapMode::read_write_sync}));
    if (const Result<> populated = co_await mapping.populate(0, inset + bytes); !populated) {
      co_await mapping.unmap();
      co_return fail_errno(populated.error().native, "map", place);
    }
    co_return MappedView(std::make_unique<MmapView>(std::move(mapping), inset, bytes, shared));
  }

 private:
  Task<Result<std::unique_ptr<Channel>>> open_channel() override {
    co_return std::make_unique<MmapChannel>(*this, *shared_);
  }

  /// What cannot be mapped is not grown into: the device goes on as it was.
  Task<Result<std::uint64_t>> measure() override {
    if (shared_->detached) co_return geometry().blocks;
    const std::uint64_t bytes = CO_TRY(shared_->file.bytes());
    if (bytes == 0 && kind_ == Kind::block) co_return fail(Errc::closed, "the device is gone");
    const std::uint64_t block = geometry().block_bytes;
    const std::uint64_t whole = bytes / block * block;
    if (const Result<> covered = shared_->memory.cover(shared_->file, whole); !covered)
      log::warn("{}: stays as it is mapped: {}", spec(), covered.error());
    co_return std::min(whole, shared_->memory.covered_bytes()) / block;
  }

  Task<> shut() override {
    co_await shared_->memory.close();
    if (claim_) co_await claim_.close();
    if (shared_->file) co_await shared_->file.close();
  }

  const Kind kind_;
  const std::unique_ptr<MmapShared> shared_;
  File claim_;
};

/// The block to use; or why there is none.
std::expected<std::uint32_t, std::string> choose_block(const FileTraits& traits, std::uint32_t asked) {
  const std::uint32_t unit = traits.kind == Kind::block ? traits.logical_block_bytes : 512;
  const std::uint32_t own =
      traits.kind == Kind::regular && traits.bytes % page_bytes == 0 ? page_bytes : unit;
  const std::uint32_t block = asked == 0 ? own : asked;
  if (traits.bytes == 0) return std::unexpected("empty: a device has at least one block");
  if (!std::has_single_bit(block)) return std::unexpected("block: a power of two");
  if (traits.bytes % block != 0)
    return std::unexpected(
        fmt::format("its size of {} bytes is not whole blocks of {}", traits.bytes, format_bytes(block)));
  return block;
}

Geometry geometry_of(const FileTraits& traits, const MmapOptions& options, std::uint32_t block, bool trims) {
  const bool stores = !options.read_only && !options.private_copy;
  const bool block_device = traits.kind == Kind::block;
  return {
      .block_bytes = block,
      .blocks = traits.bytes / block,
      .physical_block_bytes = std::max(traits.physical_block_bytes, page_bytes),
      .trim_granularity_bytes = block_device ? traits.discard_granularity : 0,
      .numa_node = traits.numa_node ? static_cast<std::int32_t>(*traits.numa_node) : -1,
      .persistent = !options.private_copy,
      .read_only = options.read_only || (traits.read_only && !options.private_copy),
      .write_cache = stores,
      .trim = trims,
      .write_zeroes = stores && (block_device ? traits.write_zeroes_bytes_max != 0 : !traits.disk.empty()),
      .mappable = !options.private_copy,
      .rotational = traits.rotational.value_or(false)};
}

Task<SpecResult<std::unique_ptr<Device>>> open_mmap(const Spec& spec, DeviceKind::Children&) {
  const auto options = options_of<MmapOptions>(spec);
  if (!options) co_return std::unexpected(options.error());
  const bool simulated = std::string_view(Shard::current().backend().name()) == "simulated";
  if (spec.target.empty()) co_return open_failed(spec, Errc::invalid, "takes a path");

  // Looked at without waiting: a pipe would wait for its other end.
  auto file = co_await File::open(spec.target, O_RDONLY | O_NONBLOCK);
  if (!file) co_return open_failed(spec, file.error());
  auto traits = file->describe();
  co_await file->close();
  if (!traits) co_return open_failed(spec, traits.error());
  if (traits->kind != Kind::regular && traits->kind != Kind::block)
    co_return open_failed(spec, Errc::invalid, "takes a file or a block device");
  const bool stores = !options->read_only && !options->private_copy;
  const bool claims = stores && !options->in_use && traits->kind == Kind::block;
  if (claims) {
    file = co_await open_claimed(spec.target, O_RDWR);
  } else {
    file = co_await File::open(spec.target, stores ? O_RDWR : O_RDONLY);
  }
  if (!file) {
    const bool denied = file.error().code == Errc::permission && stores;
    const bool claimed = file.error().code == Errc::busy && claims;
    co_return open_failed(
        spec, file.error().code,
        file.error().to_string() + (denied    ? "; ?readonly maps it for reading"
                                    : claimed ? "; it is mounted or part of something else: "
                                                "?readonly, or ?in-use where that is meant"
                                              : ""));
  }
  traits = file->describe();
  const auto block =
      traits ? choose_block(*traits, options->block_bytes) : std::unexpected(traits.error().to_string());
  auto shared = std::make_unique<MmapShared>(
      spec.target, options->private_copy,
      MapOptions{.writable = !options->read_only, .shared = !options->private_copy},
      Shard::current().mesh().shard_count() > 1);
  Result<> covered;
  if (block) covered = shared->memory.cover(*file, traits->bytes);
  if (!block || !covered) {
    co_await file->close();
    co_return block ? open_failed(spec, covered.error()) : open_failed(spec, Errc::invalid, block.error());
  }
  // Of a file, found by making a hole where there is nothing: behind its end.
  const std::uint64_t behind = (traits->bytes + page_bytes - 1) / page_bytes * page_bytes;
  const bool trims = stores && !simulated &&
                     (traits->kind == Kind::block ? traits->discard_bytes_max != 0
                                                  : (co_await file->discard(behind, page_bytes)).has_value());
  shared->file = *std::move(file);
  shared->home = Shard::current().id();
  shared->detached = simulated;
  Geometry geometry = geometry_of(*traits, *options, *block, trims);
  geometry.mappable = geometry.mappable && !simulated;
  co_return std::make_unique<MmapDevice>(spec.text, geometry, traits->kind, std::move(shared));
}

}  // namespace

DeviceKind mmap_kind() {
  return {.name = "mmap",
          .target = "PATH",
          .help = "a file or block device, mapped into memory",
          .describe = describe_as<MmapOptions>,
          .open = open_mmap};
}

}  // namespace ashlar

#include "ashlar/transport/file/file_device.h"

#include <cerrno>
#include <string_view>
#include <utility>

#include "ashlar/block/claim.h"
#include "ashlar/runtime/memory/regions.h"
#include "ashlar/runtime/ops/uring/probe.h"
#include "ashlar/transport/file/file_channel.h"
#include "ashlar/transport/file/file_kinds.h"
#include "ashlar/transport/file/file_threads.h"

namespace ashlar {

namespace {

bool on_uring_shard() noexcept {
  return std::string_view(Shard::current().backend().name()) == "io_uring";
}

/// What runs the operations of this shard's channel, where that is not the shard's back end (null).
Result<std::unique_ptr<IoRing>> open_ring(const FileOptions& options, FileKind kind) {
  if (on_simulated_shard()) return nullptr;
  if (kind == FileKind::direct) return std::make_unique<FileThreads>(options.threads);
  if (!options.own_ring || !on_uring_shard()) return nullptr;
  return Shard::current().backend().open_ring(options.ring);
}

std::string why_no_uring() {
  const auto probed = probe_uring();
  return probed ? "this shard was started without it" : probed.error().to_string();
}

/// Tries what can only be found out by trying, on the home shard, so that notes say it from the start.
void try_options(const FileOptions& options, FileTarget& target, IoRing* ring) {
  std::vector<std::string>& notes = target.notes;
  if (!on_uring_shard()) {
    if (!on_simulated_shard())
      notes.push_back("io_uring: " + why_no_uring() + ": the shard's threads do the I/O");
    return;
  }
  if (ring != nullptr) ring->attach(target.file.handle());
  if (options.fixed_buffers) {
    // A buffer such as will be used, so that nothing is pinned in vain.
    Result<> added;
    if (const auto buffer = Shard::current().buffers().allocate(BufferPool::buffer_bytes_min)) {
      Regions& regions = Regions::process();
      regions.keep_pages(buffer->region());
      const MutableBytes memory(regions.at(buffer->region()).data, Region::bytes);
      added = ring != nullptr ? ring->register_region(buffer->region(), memory)
                              : Shard::current().backend().register_region(buffer->region(), memory);
    }
    if (!added && ring == nullptr)
      notes.push_back("fixed buffers: " + added.error().to_string() + ": memory is pinned per operation");
  }
  if (ring != nullptr) notes.insert(notes.end(), ring->notes().begin(), ring->notes().end());
}

template <FileKind kind>
Task<SpecResult<std::unique_ptr<Device>>> open_file(const Spec& spec, DeviceKind::Children&) {
  const auto options = file_options_of(spec, kind);
  if (!options) co_return std::unexpected(options.error());
  if (kind == FileKind::sim && !on_simulated_shard())
    co_return open_failed(spec, Errc::unsupported,
                          "sim: is a file of the simulator's disk: there is none outside of simulation");
  auto target = co_await open_target(spec, *options, kind);
  if (!target) co_return std::unexpected(target.error());
  auto ring = open_ring(*options, kind);
  if (!ring) {
    co_await target->file.close();
    co_return open_failed(spec, ring.error());
  }
  if (kind == FileKind::uring) try_options(*options, *target, ring->get());
  co_return std::make_unique<FileDevice>(spec.text, *std::move(target), *options, kind, *std::move(ring));
}

}  // namespace

FileDevice::FileDevice(std::string spec, FileTarget target, const FileOptions& options, FileKind kind,
                       std::unique_ptr<IoRing> ring)
    : Device(std::move(spec), target.geometry),
      options_(options),
      kind_(kind),
      home_(Shard::current().id()),
      path_(std::move(target.path)),
      open_flags_(target.open_flags),
      traits_(std::move(target.traits)),
      direct_(target.direct),
      file_(std::move(target.file)),
      ring_(std::move(ring)) {
  for (std::string& line : target.notes) note(std::move(line));
}

FileDevice::~FileDevice() = default;

Task<Result<std::unique_ptr<Channel>>> FileDevice::open_channel() {
  FileChannelParts parts;
  if (Shard::current().id() == home_) {
    parts.handle = file_.handle();
    parts.ring = std::move(ring_);
  } else {
    parts.own = CO_TRY(co_await File::open(path_, open_flags_));
    parts.handle = parts.own.handle();
  }
  if (parts.ring == nullptr) parts.ring = CO_TRY(open_ring(options_, kind_));
  if (parts.ring != nullptr) parts.ring->attach(parts.handle);
  parts.queue_depth = options_.queue_depth;
  parts.bounce_alignment =
      options_.bounce && direct_ ? std::max(traits_.memory_alignment, traits_.offset_alignment) : 1;
  parts.fixed_buffers = options_.fixed_buffers && on_uring_shard();
  parts.flush_optional = traits_.kind == FileTraits::Kind::character;
  parts.zeroes_by_kernel = !parts.flush_optional;
  co_return FileChannel::open(*this, flush_failures_, std::move(parts));
}

/// A block device that is gone has no bytes left. One that lost its medium, too.
Task<Result<std::uint64_t>> FileDevice::measure() {
  if (traits_.kind == FileTraits::Kind::character) co_return geometry().blocks;
  const std::uint64_t bytes = CO_TRY(file_.bytes());
  if (bytes == 0 && traits_.kind == FileTraits::Kind::block)
    co_return fail_errno(ENXIO, "the device is gone");
  co_return bytes / geometry().block_bytes;
}

Task<Result<>> FileDevice::claim() {
  if (claim_) co_return Result<>{};
  const bool settles = traits_.kind == FileTraits::Kind::regular && !geometry().read_only;
  claim_ = CO_TRY(co_await lock_for_device(path_, file_, settles ? geometry().block_bytes : 0));
  co_return Result<>{};
}

Task<> FileDevice::shut() {
  ring_.reset();
  if (claim_) co_await claim_.close();
  if (file_) co_await file_.close();
}

DeviceKind uring_kind() {
  return {.name = "uring",
          .target = "PATH",
          .help = "a file, block or character device, by io_uring",
          .describe = describe_file_options<FileKind::uring>,
          .open = open_file<FileKind::uring>};
}

DeviceKind direct_kind() {
  return {.name = "direct",
          .target = "PATH",
          .help = "a file, block or character device, by preadv2 and pwritev2 on threads",
          .describe = describe_file_options<FileKind::direct>,
          .open = open_file<FileKind::direct>};
}

DeviceKind sim_kind() {
  return {.name = "sim",
          .target = "NAME",
          .help = "a file of the simulator's disk",
          .describe = describe_file_options<FileKind::sim>,
          .open = open_file<FileKind::sim>};
}

}  // namespace ashlar

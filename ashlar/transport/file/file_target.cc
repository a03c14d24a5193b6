/// 1. Look: open the name for reading, without waiting, to learn what stands behind it. A name without a file
///    is made one where the spec says so.
/// 2. Open it as it will be used; O_DIRECT where the file takes it, and where its size suits.
/// 3. Choose the block, check that the size is whole blocks, and derive the geometry from the traits.

#include "ashlar/transport/file/file_target.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "ashlar/base/units.h"
#include "ashlar/block/claim.h"

namespace ashlar {

namespace {

using Kind = FileTraits::Kind;

constexpr std::uint32_t page_bytes = 4096;

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Makes a file of `bytes`, durably; what exists stays as it is.
Task<Result<>> create_file(std::string path, std::uint64_t bytes, bool sparse,
                           std::vector<std::string>& notes) {
  File file = CO_TRY(co_await File::open(path, O_RDWR | O_CREAT | O_EXCL));
  Result<> sized = sparse ? co_await file.resize(bytes) : co_await file.allocate(0, bytes);
  if (!sized && sized.error().code == Errc::unsupported) {
    notes.push_back("create: the file system reserves no space: the file is sparse");
    sized = co_await file.resize(bytes);
  }
  if (sized) sized = co_await file.sync();
  if (!sized) {
    co_await file.close();
    co_await unlink_file(path);
    co_return sized;
  }
  CO_TRY(co_await file.close());
  co_return co_await sync_directory(parent_of(path));
}

/// Whether holes can be made, found by making one where there is nothing: behind the end.
Task<bool> punches_holes(const File& file, const FileTraits& traits) {
  const std::uint64_t behind = (traits.bytes + page_bytes - 1) / page_bytes * page_bytes;
  co_return (co_await file.discard(behind, page_bytes)).has_value();
}

class Opening {
 public:
  Opening(const Spec& spec, const FileOptions& options, FileKind kind)
      : spec_(spec), options_(options), path_(spec.target) {
    if (kind == FileKind::sim && !path_.starts_with('/')) path_.insert(0, "/");
  }

  Task<SpecResult<FileTarget>> run() {
    if (spec_.target.empty()) co_return failed(Errc::invalid, "takes a path");
    if (auto kind = co_await look(); !kind) co_return std::unexpected(kind.error());
    if (auto opened = co_await open(); !opened) co_return std::unexpected(opened.error());
    if (auto chosen = choose_block(); !chosen) co_return std::unexpected(chosen.error());
    co_await describe();
    target_.path =
        on_simulated_shard() ? path_ : fmt::format("/proc/self/fd/{}", target_.file.handle().value);
    co_return std::move(target_);
  }

 private:
  std::unexpected<SpecError> failed(Errc code, std::string message) const {
    return open_failed(spec_, code, std::move(message));
  }
  std::unexpected<SpecError> failed(const Error& error) const {
    std::string message = error.to_string();
    if (error.code == Errc::permission && !options_.read_only) message += "; ?readonly opens it for reading";
    if (error.code == Errc::busy && block_device())
      message += "; it is mounted or part of something else: ?readonly, or ?in-use where that is meant";
    if (error.code == Errc::not_found && error.native == ENOENT)
      message += "; ?create=SIZE makes a file of that size";
    if (error.code == Errc::not_found && error.native != ENOENT) message += "; there is no device behind it";
    return failed(error.code, std::move(message));
  }
  std::unexpected<SpecError> wrong_option(const char* name, std::string message) const {
    const SpecOption* const option = find_option(spec_, name);
    return std::unexpected(SpecError{std::move(message), option == nullptr ? spec_.target_at : option->at});
  }
  bool block_device() const noexcept { return traits().kind == Kind::block; }
  const FileTraits& traits() const noexcept { return target_.traits; }

  // Without waiting, since opening a pipe waits for its other end.
  Task<SpecResult<void>> look() {
    auto file = co_await File::open(path_, O_RDONLY | O_NONBLOCK);
    if (!file && file.error().native == ENOENT && options_.create_bytes != 0) {
      if (auto made = co_await create_file(path_, options_.create_bytes, options_.sparse, target_.notes);
          !made)
        co_return failed(made.error());
      file = co_await File::open(path_, O_RDONLY);
    }
    if (!file) co_return failed(file.error());
    auto found = file->describe();
    co_await file->close();
    if (!found) co_return failed(found.error());
    target_.traits = *std::move(found);
    if (traits().kind == Kind::other)
      co_return failed(Errc::invalid,
                       "a directory, pipe or socket: takes a file, a block or a character device");
    co_return SpecResult<void>{};
  }

  Task<SpecResult<void>> open() {
    int& flags = target_.open_flags;
    flags = options_.read_only ? O_RDONLY : O_RDWR;
    if (options_.sync == SyncMode::dsync) flags |= O_DSYNC;
    if (options_.sync == SyncMode::sync) flags |= O_SYNC;
    std::string why_buffered;
    if (options_.direct != DirectIo::off && traits().kind != Kind::character) {
      why_buffered = co_await try_direct();
      if (target_.direct) co_return SpecResult<void>{};
      if (why_buffered.empty()) co_return failed(*error_);
      if (options_.direct == DirectIo::on) co_return wrong_option("direct", "direct: " + why_buffered);
    }
    auto file = co_await open_to_use(flags);
    if (!file) co_return failed(file.error());
    target_.file = *std::move(file);
    if (auto described = describe_again(); !described) co_return failed(described.error());
    if (!why_buffered.empty())
      target_.notes.push_back("direct I/O: " + why_buffered + ": through the page cache");
    co_return SpecResult<void>{};
  }

  // The home shard's handle holds the claim to a block device.
  Task<Result<File>> open_to_use(int flags) const {
    if (block_device() && !options_.read_only && !options_.in_use)
      co_return co_await open_claimed(path_, flags);
    co_return co_await File::open(path_, flags);
  }

  /// Opens the file with O_DIRECT, or says why that cannot be. Neither: error_ ends the opening.
  Task<std::string> try_direct() {
    auto file = co_await open_to_use(target_.open_flags | O_DIRECT);
    if (!file && file.error().native == EINVAL) co_return "the file system has none";
    if (!file) {
      error_ = file.error();
      co_return "";
    }
    target_.file = *std::move(file);
    if (auto described = describe_again(); !described) {
      error_ = described.error();
      co_return "";
    }
    const std::uint32_t unit = traits().offset_alignment;
    std::string why;
    if (unit == 0 || traits().memory_alignment == 0) {
      why = "this file has none";
    } else if (traits().bytes % unit != 0) {
      why = fmt::format("its size of {} bytes is no multiple of the alignment, {}", traits().bytes,
                        format_bytes(unit));
    }
    target_.direct = why.empty();
    if (target_.direct) {
      target_.open_flags |= O_DIRECT;
    } else {
      co_await target_.file.close();
    }
    co_return why;
  }

  Result<> describe_again() {
    target_.traits = TRY(target_.file.describe());
    if (traits().kind == Kind::character && traits().bytes == 0) target_.traits.bytes = options_.size_bytes;
    return {};
  }

  SpecResult<void> choose_block() {
    const std::uint64_t bytes = traits().bytes;
    if (bytes == 0)
      return failed(Errc::invalid, traits().kind == Kind::character
                                       ? "a character device that does not say its size: give it by ?size="
                                   : block_device() ? "a block device without a medium"
                                                    : "an empty file: a device has at least one block");
    std::uint32_t block = options_.block_bytes;
    const std::uint32_t unit = unit_bytes();
    if (block == 0) block = block_device() ? unit : bytes % page_bytes == 0 ? page_bytes : unit;
    if (block < unit)
      return wrong_option("block", fmt::format("block: at least {}, the alignment of {}", format_bytes(unit),
                                               block_device() ? "this device" : "direct I/O to this file"));
    if (bytes % block != 0) {
      std::string message =
          fmt::format("its size of {} bytes is not whole blocks of {}", bytes, format_bytes(block));
      return options_.block_bytes != 0 ? wrong_option("block", "block: " + message)
                                       : failed(Errc::invalid, std::move(message));
    }
    target_.geometry.block_bytes = block;
    target_.geometry.blocks = bytes / block;
    return {};
  }

  /// The smallest piece that can be read or written.
  std::uint32_t unit_bytes() const noexcept {
    const std::uint32_t logical = block_device() ? traits().logical_block_bytes : 512;
    return target_.direct ? std::max(logical, traits().offset_alignment) : logical;
  }

  Task<> describe() {
    Geometry& geometry = target_.geometry;
    const FileTraits& found = traits();
    const bool regular = found.kind == Kind::regular;
    const bool direct = target_.direct;
    const bool each_durable = options_.sync != SyncMode::none;
    geometry.physical_block_bytes = std::max(found.physical_block_bytes, unit_bytes());
    // The kernel asks of the size of each segment what it asks of the offset.
    geometry.memory_alignment =
        direct && !options_.bounce ? std::max(found.memory_alignment, unit_bytes()) : 1;
    geometry.numa_node = found.numa_node ? static_cast<std::int32_t>(*found.numa_node) : -1;
    geometry.persistent = found.kind != Kind::character;  // which says nothing of what it keeps
    geometry.read_only = options_.read_only || found.read_only;
    // Of a file, what leads to the data can be lost with the cache too.
    const bool through = block_device() && direct && !found.volatile_cache.value_or(true);
    geometry.write_cache = !through && !each_durable;
    geometry.fua = each_durable || through || (direct && found.fua.value_or(false));
    geometry.rotational = found.rotational.value_or(false);
    geometry.poll = options_.ring.iopoll && direct && found.io_poll.value_or(false);
    if (block_device()) geometry.zones = found.zones, geometry.protection = found.protection;
    if (geometry.read_only || found.kind == Kind::character) co_return;
    geometry.trim = regular ? co_await punches_holes(target_.file, found) : found.discard_bytes_max != 0;
    if (direct && found.atomic_write_bytes_max >= geometry.block_bytes) {
      geometry.atomic_write_bytes_min = std::max(found.atomic_write_bytes_min, geometry.block_bytes);
      geometry.atomic_write_bytes_max = found.atomic_write_bytes_max;
    }
    geometry.trim_granularity_bytes = block_device() ? found.discard_granularity : 0;
    // File systems that keep files on a disk and make holes can zero as well.
    geometry.write_zeroes =
        regular ? geometry.trim && !found.disk.empty() : found.write_zeroes_bytes_max != 0;
  }

  const Spec& spec_;
  const FileOptions& options_;
  std::string path_;
  FileTarget target_;
  std::optional<Error> error_;
};

}  // namespace

bool on_simulated_shard() noexcept {
  return std::string_view(Shard::current().backend().name()) == "simulated";
}

Task<SpecResult<FileTarget>> open_target(const Spec& spec, const FileOptions& options, FileKind kind) {
  Opening opening(spec, options, kind);
  co_return co_await opening.run();
}

}  // namespace ashlar

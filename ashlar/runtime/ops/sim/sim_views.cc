/// What a simulated file says of itself, and simulated files as memory: a mapping is a copy that
/// Mapping::sync() writes back.

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "ashlar/runtime/ops/sim/sim_backend.h"

namespace ashlar::sim {

namespace {

constexpr std::uint64_t page_bytes = 4096;

}  // namespace

Result<FileTraits> SimBackend::describe(Handle file) {
  const Open* open = find(file);
  if (open == nullptr || open->file == nullptr) return fail_errno(EBADF, "describe file");
  if (!environment_.powered()) return fail_errno(EIO, "describe file");
  const Inode& inode = *open->file->inode;
  const auto alignment = static_cast<std::uint32_t>(environment_.disk.direct_alignment());
  FileTraits traits;
  traits.kind = inode.directory ? FileTraits::Kind::other : FileTraits::Kind::regular;
  traits.read_only = (open->file->flags & O_ACCMODE) == O_RDONLY;
  traits.bytes = inode.image.size();
  traits.logical_block_bytes = sector_bytes;
  traits.physical_block_bytes = sector_bytes;
  traits.memory_alignment = traits.offset_alignment = alignment;
  traits.alignment_from_kernel = true;
  traits.disk = "sim";
  traits.volatile_cache = true;
  traits.fua = true;
  traits.rotational = false;
  traits.io_poll = false;
  traits.numa_node = 0;
  traits.scheduler = "none";
  traits.atomic_write_bytes_min = alignment;
  traits.atomic_write_bytes_max = static_cast<std::uint32_t>(environment_.disk.atomic_bytes_max());
  traits.discard_granularity = block_bytes;
  traits.discard_bytes_max = ~std::uint64_t{0};
  traits.write_zeroes_bytes_max = ~std::uint64_t{0};
  return traits;
}

Result<MappedRange> SimBackend::map(Handle file, std::uint64_t offset, std::uint64_t bytes,
                                    const MapOptions& options) {
  const Open* open = find(file);
  if (open == nullptr || open->file == nullptr) return fail_errno(EBADF, "map");
  if (!environment_.powered()) return fail_errno(EIO, "map");
  if (options.sync) return fail_errno(EOPNOTSUPP, "map");
  const int access = open->file->flags & O_ACCMODE;
  if (access == O_WRONLY || (options.shared && options.writable && access == O_RDONLY))
    return fail_errno(EACCES, "map");
  const std::uint64_t end = open->file->inode->image.size();
  if (bytes == 0 || offset % page_bytes != 0 || offset > end || bytes > end - offset)
    return fail_errno(EINVAL, "map", {.offset = offset});

  auto view = std::make_unique<View>();
  view->file = open->file;
  ++view->file->inode->opens;  // it outlives the handle
  view->offset = offset;
  view->shared = options.shared;
  view->storage.resize(bytes + page_bytes - 1);
  const auto misaligned = reinterpret_cast<std::uintptr_t>(view->storage.data()) % page_bytes;
  view->memory =
      MutableBytes(view->storage).subspan(misaligned == 0 ? 0 : page_bytes - misaligned).first(bytes);
  view->file->inode->image.read(offset, view->memory);
  views_.push_back(std::move(view));
  return MappedRange{views_.back()->memory.data(), bytes, nullptr};
}

SimBackend::View* SimBackend::view_of(const std::byte* data) noexcept {
  for (const auto& view : views_) {
    if (data >= view->memory.data() && data < view->memory.data() + view->memory.size()) return view.get();
  }
  return nullptr;
}

// What the file lost meanwhile stays lost.
std::int64_t SimBackend::sync_memory(const Operation& operation) {
  View* view = view_of(operation.data);
  if (view == nullptr) return -EINVAL;
  if (!view->shared) return 0;
  const auto first = static_cast<std::uint64_t>(operation.data - view->memory.data());
  const std::uint64_t at = view->offset + first;
  const std::uint64_t size = view->file->inode->image.size();
  const std::uint64_t left =
      std::min({operation.length, view->memory.size() - first, size - std::min(size, at)});
  OpenFile buffered{view->file->inode, O_RDWR, false, 0};
  const auto written = environment_.disk.write(buffered, at, view->memory.subspan(first, left), true);
  return written ? 0 : -written.error();
}

std::int64_t SimBackend::unmap(const Operation& operation) {
  View* view = view_of(operation.data);
  if (view == nullptr) return -EINVAL;
  OpenFile kept{view->file->inode, 0, false, view->file->crashes};
  environment_.disk.close(kept);
  std::erase_if(views_, [view](const auto& other) { return other.get() == view; });
  return 0;
}

}  // namespace ashlar::sim

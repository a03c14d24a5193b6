#include "ashlar/runtime/memory/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <memory>

#include "ashlar/runtime/memory/poison.h"

namespace ashlar {

namespace {

constexpr std::size_t huge_buffer_bytes_min = std::size_t{512} << 10;

constexpr std::size_t class_bytes(unsigned size_class) noexcept {
  return BufferPool::buffer_bytes_min << size_class;
}
constexpr std::uint32_t slab_buffers(unsigned size_class) noexcept {
  return static_cast<std::uint32_t>(Region::bytes / class_bytes(size_class));
}

constexpr std::uint32_t run_regions(std::size_t bytes) noexcept {
  return static_cast<std::uint32_t>((bytes + Region::bytes - 1) / Region::bytes);
}

}  // namespace

BufferPool::~BufferPool() {
  assert(in_use_ == 0 && "a buffer outlived its pool");
  for (Slab* slab : slabs_) {
    if (slab != nullptr) remove_slab(*slab);
  }
}

Result<IoBuffer> BufferPool::allocate(std::size_t bytes, Purpose purpose, bool regardless) {
  if (bytes > Region::bytes) [[unlikely]]
    return allocate_run(bytes, purpose, regardless);
  const std::size_t rounded = std::bit_ceil(std::max(bytes, buffer_bytes_min));
  const auto size_class = static_cast<unsigned>(std::countr_zero(rounded / buffer_bytes_min));

  IntrusiveList<Slab>& usable = usable_[size_class];
  Slab& slab = usable.empty() ? *TRY(add_slab(size_class, regardless)) : usable.front();
  std::byte* data = nullptr;
  if (slab.free != nullptr) {
    data = reinterpret_cast<std::byte*>(slab.free);
    ASHLAR_UNPOISON(data, rounded);
    slab.free = slab.free->next;
  } else {
    data = slab.region.data + slab.carved++ * rounded;
    ASHLAR_UNPOISON(data, rounded);
  }
  ++in_use_;
  if (++slab.used == slab_buffers(size_class)) slab.unlink();
  budget_.reassign(Purpose::io_buffers, purpose, rounded);
  return IoBuffer(*this, data, bytes, slab.region.id, purpose);
}

Result<IoBuffer> BufferPool::allocate_run(std::size_t bytes, Purpose purpose, bool regardless) {
  if (bytes > buffer_bytes_max) return fail(Errc::too_large, "buffer");
  const std::uint32_t count = run_regions(bytes);
  const Region first = TRY(take_regions(count, regardless));
  ++in_use_;
  budget_.reassign(Purpose::io_buffers, purpose, count * Region::bytes);
  return IoBuffer(*this, first.data, bytes, first.id, purpose);
}

void BufferPool::release(IoBuffer& buffer) noexcept {
  std::byte* data = std::exchange(buffer.data_, nullptr);
  --in_use_;
  if (buffer.size_ > Region::bytes) [[unlikely]] {
    const std::uint32_t count = run_regions(buffer.size_);
    budget_.reassign(buffer.purpose_, Purpose::io_buffers, count * Region::bytes);
    give_regions({data, buffer.region_}, count);
  } else {
    Slab& slab = *slabs_[buffer.region_];
    budget_.reassign(buffer.purpose_, Purpose::io_buffers, class_bytes(slab.size_class));
    release_to(slab, data);
  }
}

void BufferPool::release_to(Slab& slab, std::byte* data) noexcept {
  auto* free = reinterpret_cast<FreeBuffer*>(data);
  free->next = std::exchange(slab.free, free);
  ASHLAR_POISON(free, class_bytes(slab.size_class));
  IntrusiveList<Slab>& usable = usable_[slab.size_class];
  // At the front: what was used last is warm, and the others may run empty.
  if (!slab.linked()) usable.push_front(slab);
  const bool only_one = &usable.front() == &slab && &usable.back() == &slab;
  const bool stays = only_one && class_bytes(slab.size_class) <= kept_bytes_max;
  if (--slab.used == 0 && !stays) remove_slab(slab);
}

Result<Region> BufferPool::take_regions(std::uint32_t count, bool regardless) {
  const std::uint64_t bytes = count * Region::bytes;
  if (regardless) {
    budget_.take_regardless(Purpose::io_buffers, bytes);
  } else if (!budget_.take(Purpose::io_buffers, bytes)) {
    return fail(Errc::no_memory, "buffer pool");
  }
  auto first = regions_.take(count);
  if (!first) {
    budget_.give(Purpose::io_buffers, bytes);
    return std::unexpected(first.error());
  }
  regions_held_ += count;
  return first;
}

void BufferPool::give_regions(Region first, std::uint32_t count) noexcept {
  regions_.give(first, count);
  regions_held_ -= count;
  budget_.give(Purpose::io_buffers, count * Region::bytes);
}

Result<BufferPool::Slab*> BufferPool::add_slab(unsigned size_class, bool regardless) {
  const Region region = TRY(take_regions(1, regardless));
  auto slab = std::make_unique<Slab>();
  slab->region = region;
  slab->size_class = size_class;
  // Two small buffers would cost a huge page. Where there is a region of this size already, there are many.
  const auto same_size = [&](const Slab* other) {
    return other != nullptr && other->size_class == size_class;
  };
  slab->small_pages =
      class_bytes(size_class) < huge_buffer_bytes_min && std::ranges::none_of(slabs_, same_size);
  if (slab->small_pages) ::madvise(region.data, Region::bytes, MADV_NOHUGEPAGE);
  ASHLAR_POISON(region.data, Region::bytes);
  if (region.id >= slabs_.size()) slabs_.resize(region.id + 1);
  slabs_[region.id] = slab.get();
  usable_[size_class].push_front(*slab);
  return slab.release();
}

void BufferPool::remove_slab(Slab& slab) noexcept {
  const std::unique_ptr<Slab> owned(&slab);
  slab.unlink();
  slabs_[slab.region.id] = nullptr;
  if (slab.small_pages) ::madvise(slab.region.data, Region::bytes, MADV_HUGEPAGE);  // as it came
  give_regions(slab.region, 1);
}

}  // namespace ashlar

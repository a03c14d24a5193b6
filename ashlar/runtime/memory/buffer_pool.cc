#include "ashlar/runtime/memory/buffer_pool.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <memory>

#include "ashlar/runtime/memory/poison.h"

namespace ashlar {

namespace {

constexpr std::size_t class_bytes(unsigned size_class) noexcept {
  return BufferPool::buffer_bytes_min << size_class;
}
constexpr std::uint32_t slab_buffers(unsigned size_class) noexcept {
  return static_cast<std::uint32_t>(Region::bytes / class_bytes(size_class));
}

}  // namespace

BufferPool::~BufferPool() {
  assert(in_use_ == 0 && "a buffer outlived its pool");
  for (Slab* slab : slabs_) {
    if (slab != nullptr) remove_slab(*slab);
  }
}

Result<IoBuffer> BufferPool::allocate(std::size_t bytes) {
  if (bytes > buffer_bytes_max) return fail(Errc::too_large, "buffer");
  const std::size_t rounded = std::bit_ceil(std::max(bytes, buffer_bytes_min));
  const auto size_class = static_cast<unsigned>(std::countr_zero(rounded / buffer_bytes_min));

  IntrusiveList<Slab>& usable = usable_[size_class];
  Slab& slab = usable.empty() ? *TRY(add_slab(size_class)) : usable.front();
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
  return IoBuffer(*this, data, static_cast<std::uint32_t>(bytes), slab.region.id);
}

void BufferPool::release(IoBuffer& buffer) noexcept {
  Slab& slab = *slabs_[buffer.region_];
  auto* free = reinterpret_cast<FreeBuffer*>(std::exchange(buffer.data_, nullptr));
  free->next = std::exchange(slab.free, free);
  ASHLAR_POISON(free, class_bytes(slab.size_class));
  --in_use_;
  IntrusiveList<Slab>& usable = usable_[slab.size_class];
  // At the front: what was used last is warm, and the others may run empty.
  if (!slab.linked()) usable.push_front(slab);
  const bool only_one = &usable.front() == &slab && &usable.back() == &slab;
  if (--slab.used == 0 && !only_one) remove_slab(slab);
}

Result<BufferPool::Slab*> BufferPool::add_slab(unsigned size_class) {
  if (!budget_.take(Purpose::io_buffers, Region::bytes)) return fail(Errc::no_memory, "buffer pool");
  auto region = regions_.take();
  if (!region) {
    budget_.give(Purpose::io_buffers, Region::bytes);
    return std::unexpected(region.error());
  }
  auto slab = std::make_unique<Slab>();
  slab->region = *region;
  slab->size_class = size_class;
  ASHLAR_POISON(region->data, Region::bytes);
  if (region->id >= slabs_.size()) slabs_.resize(region->id + 1);
  slabs_[region->id] = slab.get();
  usable_[size_class].push_front(*slab);
  ++regions_held_;
  return slab.release();
}

void BufferPool::remove_slab(Slab& slab) noexcept {
  const std::unique_ptr<Slab> owned(&slab);
  slab.unlink();
  slabs_[slab.region.id] = nullptr;
  --regions_held_;
  ASHLAR_UNPOISON(slab.region.data, Region::bytes);
  regions_.give(slab.region);
  budget_.give(Purpose::io_buffers, Region::bytes);
}

}  // namespace ashlar

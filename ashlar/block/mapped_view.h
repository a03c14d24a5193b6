#pragma once

/// Part of a device, mapped into memory: loads and stores instead of requests.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "ashlar/base/bytes.h"
#include "ashlar/base/result.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar {

enum class MapMode : std::uint8_t {
  read_only,        ///< stores fault
  read_write,       ///< shared: stores reach the device with persist()
  private_copy,     ///< stores stay in this mapping
  read_write_sync,  ///< shared, of persistent memory (MAP_SYNC): a store that left the CPU's caches is
                    ///< durable, without a system call; `unsupported` elsewhere
};

/// What a transport keeps behind a view.
class DeviceMapping {
 public:
  virtual ~DeviceMapping() = default;
  virtual MutableBytes bytes() const noexcept = 0;
  /// Fails once a page of it could not be read; the bytes of that page are zeroes.
  virtual Result<> ok() const noexcept = 0;
  /// Stores to [offset, offset + size) survive power loss once this is ok.
  virtual Task<Result<>> persist(std::uint64_t offset, std::uint64_t size) = 0;
  /// Unmaps; called once, nothing refers to the memory any more.
  virtual Task<> release() = 0;
};

/// Owner: the shard that mapped it; the memory may be read by any thread. Move-only. Lifecycle: release()
/// before it is destroyed, and before the device closes.
class [[nodiscard]] MappedView {
 public:
  MappedView() = default;
  explicit MappedView(std::unique_ptr<DeviceMapping> range) noexcept : range_(std::move(range)) {}

  explicit operator bool() const noexcept { return range_ != nullptr; }
  /// Writable unless the mode was read_only.
  MutableBytes bytes() const noexcept { return range_->bytes(); }
  /// To be asked after the bytes were used, before what was made of them is believed: a page that could not
  /// be read gives zeroes and an error here, never a signal.
  Result<> ok() const noexcept { return range_->ok(); }
  /// Bounds are checked: `invalid` outside of the view.
  Task<Result<>> persist(std::uint64_t offset, std::uint64_t size) { return range_->persist(offset, size); }
  /// Stores 8 bytes at a multiple of 8 in one piece: whoever reads them, and power loss, find the old or the
  /// new ones, never a mixture. Durable after persist(). `invalid` outside of the view or elsewhere. Of a
  /// view that is read_only, a fault.
  Result<> store(std::uint64_t offset, std::uint64_t value) const noexcept {
    const MutableBytes memory = bytes();
    if (offset % sizeof value != 0 || memory.size() < sizeof value || offset > memory.size() - sizeof value)
      return fail(Errc::invalid, "store: not 8 bytes at a multiple of 8 in the view", {.offset = offset});
    auto* const place = reinterpret_cast<std::uint64_t*>(memory.data() + offset);
    std::atomic_ref(*place).store(value, std::memory_order_release);
    return {};
  }
  Task<> release() {
    auto range = std::move(range_);
    if (range != nullptr) co_await range->release();
  }

 private:
  std::unique_ptr<DeviceMapping> range_;
};

}  // namespace ashlar

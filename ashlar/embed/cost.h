#pragma once

/// Options of plain threads, as engines take them.

#include "ashlar/embed/options.h"
#include "ashlar/kv/family.h"
#include "ashlar/kv/read.h"
#include "ashlar/kv/write_options.h"

namespace ashlar::embed {

/// Both are CLOCK_MONOTONIC.
constexpr Instant instant_of(Deadline deadline) noexcept {
  return deadline == no_deadline ? never : Instant(deadline.time_since_epoch());
}

/// `invalid` for a negative TTL.
inline Result<kv::FamilyOptions> engine_options(const FamilyOptions& options) {
  if (options.ttl.count() < 0) return fail(Errc::invalid, "ttl of a column family");
  return kv::FamilyOptions{.merge_operator = options.merge_operator,
                           .ttl_ms = static_cast<std::uint64_t>(options.ttl.count())};
}

/// What one call cost on its shard, gathered there; its caller adds it up.
class Cost {
 public:
  explicit Cost(Receipt* to) noexcept : to_(to) {}
  /// Null where nothing is to be measured.
  kv::Receipt* on_shard() noexcept { return to_ != nullptr ? &measured_ : nullptr; }
  void add_up() noexcept {
    if (to_ == nullptr) return;
    to_->blocks_cached += measured_.blocks_cached;
    to_->blocks_read += measured_.blocks_read;
    to_->bytes_read += measured_.bytes_read;
    to_->bytes_logged += measured_.bytes_logged;
    to_->device_time += measured_.device_time;
    to_->queue_time += measured_.queue_time;
    to_->cycles += measured_.cycles;
    measured_ = {};
  }
  /// For the last time: the receipt may go.
  void settle() noexcept {
    add_up();
    to_ = nullptr;
  }

 private:
  Receipt* to_;
  kv::Receipt measured_;
};

}  // namespace ashlar::embed

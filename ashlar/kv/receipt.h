#pragma once

/// What an operation cost. Filled where the options of the operation name one; nothing is measured otherwise.

#include <cstdint>

#include "ashlar/runtime/ops/clock.h"
#include "ashlar/runtime/ops/cycles.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::kv {

/// Operations add to it: one receipt may gather a whole request. The caller's; outlives the operation. Owner
/// shard only.
struct Receipt {
  std::uint64_t blocks_cached = 0;  ///< of tables, found in memory
  std::uint64_t blocks_read = 0;    ///< from the device, by this operation or by one that it joined
  std::uint64_t bytes_read = 0;     ///< of those
  std::uint64_t bytes_logged = 0;   ///< a write's batch, encoded; across partitions every record of it
  Duration device_time{};           ///< suspended until blocks were read
  Duration queue_time{};     ///< suspended otherwise: for durability, behind others, for its turn to run
  std::uint64_t cycles = 0;  ///< of the CPU (cycles_now()), while it ran

  /// What a part of the operation cost that had a receipt of its own, on another shard.
  void add(const Receipt& part) noexcept {
    blocks_cached += part.blocks_cached;
    blocks_read += part.blocks_read;
    bytes_read += part.bytes_read;
    bytes_logged += part.bytes_logged;
    device_time += part.device_time;
    queue_time += part.queue_time;
    cycles += part.cycles;
  }

  /// Adds the cycles between its making and its end to a receipt, if there is one.
  class Cycles {
   public:
    explicit Cycles(Receipt* receipt) noexcept : receipt_(receipt) {
      if (receipt_ != nullptr) [[unlikely]]
        begin_ = cycles_now(Shard::current().backend());
    }
    Cycles(const Cycles&) = delete;
    Cycles& operator=(const Cycles&) = delete;
    ~Cycles() {
      if (receipt_ != nullptr) [[unlikely]]
        receipt_->cycles += cycles_now(Shard::current().backend()) - begin_;
    }

   private:
    Receipt* receipt_;
    std::uint64_t begin_ = 0;
  };

  /// Adds the time between its making and its end to one of a receipt's times.
  class Time {
   public:
    Time(Receipt* receipt, Duration Receipt::* time) noexcept : receipt_(receipt), time_(time) {
      if (receipt_ != nullptr) begin_ = Shard::current().backend().now();
    }
    Time(const Time&) = delete;
    Time& operator=(const Time&) = delete;
    ~Time() {
      if (receipt_ != nullptr) receipt_->*time_ += Shard::current().backend().now() - begin_;
    }

   private:
    Receipt* receipt_;
    Duration Receipt::* time_;
    Instant begin_{};
  };
};

}  // namespace ashlar::kv

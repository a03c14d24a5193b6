#pragma once

/// What the back ends of one simulated world share: time, chance, disk, network, power, and the trace.

#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/runtime/ops/sim/disk.h"
#include "ashlar/runtime/ops/sim/event_queue.h"
#include "ashlar/runtime/ops/sim/faults.h"
#include "ashlar/runtime/ops/sim/network.h"

namespace ashlar::sim {

class SimBackend;

struct EnvironmentOptions {
  std::uint64_t seed = 1;
  Latency disk{std::chrono::microseconds(20), std::chrono::microseconds(300)};
  std::uint64_t disk_bytes_per_second = 0;  ///< of reads and writes, one after the other; 0: no limit
  NetworkOptions network{};
  std::uint64_t wall_ms = 1'700'000'000'000;  ///< the wall clock at the start
  std::uint32_t receive_buffers = 64;         ///< per shard, for receive_multishot
  std::uint32_t receive_buffer_bytes = 4096;
};

/// Owner: a World, or a test that drives back ends by itself. Outlives its back ends; the disk outlives it.
class Environment {
 public:
  Environment(const EnvironmentOptions& options, Disk& disk);
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  const EnvironmentOptions options;
  EventQueue events;
  Random random;
  Disk& disk;
  Faults faults;
  Network network;

  bool powered() const noexcept { return powered_; }
  /// Power goes. Operations in flight may have happened, or part of each; the disk keeps what its crash model
  /// leaves. Every operation in flight, and every later one, fails with EIO and reaches nothing, so that
  /// tasks unwind the way they do on any error; closing still works.
  void cut_power();
  /// The process is killed: the same, but what the kernel had taken is not lost.
  void kill();
  void end(const FileVerdict& verdict) { verdict.kill ? kill() : cut_power(); }

  /// How long until the disk has moved so many bytes, behind those that it has been asked for before.
  Duration disk_transfer(std::uint64_t bytes) noexcept;

  std::uint64_t wall_ms() const noexcept;
  void step_wall(std::int64_t milliseconds) noexcept { wall_step_ms_ += milliseconds; }

  /// Folds one completion into the digest.
  void trace(unsigned shard, OpCode code, std::int64_t result) noexcept;
  std::uint64_t digest() const noexcept { return digest_; }

  void add(SimBackend& backend) { backends_.push_back(&backend); }
  void remove(SimBackend& backend) { std::erase(backends_, &backend); }

 private:
  void stop();

  bool powered_ = true;
  Instant disk_free_at_{};
  std::int64_t wall_step_ms_ = 0;
  std::uint64_t digest_;
  std::vector<SimBackend*> backends_;
};

}  // namespace ashlar::sim

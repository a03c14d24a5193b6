#pragma once

/// The conformance suite of devices: what block/channel.h promises, asked of every kind, on every back end of
/// the runtime, on one shard and on several. A new kind joins by one line in conformance_kinds.cc; kinds
/// outside of this repository join by a source of their own in its place.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "ashlar/block/device.h"
#include "ashlar/block/registry.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/sim/world.h"
#include "ashlar/runtime/ops/test_loop_device.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::testing {

/// The back end that the shards run on.
enum class Where : std::uint8_t { uring = 1, epoll = 2, simulated = 4 };
constexpr unsigned everywhere = 7, real = 3;

struct KindUnderTest {
  const char* name;
  const char* spec;  ///< "{file}" stands for the path of a file of `file_bytes` zeroes, "{loop}" for
                     ///< a block device over it
  unsigned where = everywhere;  ///< mask of Where
  bool stores = true;           ///< reads return what was written
  bool resizes = false;         ///< follows the size of its file
  bool loses = false;           ///< what is not flushed is lost with the simulator's power
};

/// What the suite is asked of: defined by the program that links it.
std::span<const KindUnderTest> kinds_under_test();
const Registry& registry_under_test();

struct Setup {
  KindUnderTest kind;
  Where where;
  unsigned shards;
};
void PrintTo(const Setup& setup, std::ostream* out);
/// Every kind on every back end it has, with one shard and with three; those that `which` picks.
std::vector<Setup> setups(bool (*which)(const Setup&) = [](const Setup&) { return true; });
std::string name_of(const ::testing::TestParamInfo<Setup>& info);

class DeviceConformance : public ::testing::TestWithParam<Setup> {
 protected:
  static constexpr std::uint64_t file_bytes = std::uint64_t{4} << 20;

  void SetUp() override;
  void TearDown() override;

  using Body = std::function<Task<Result<>>(Device& device, Channel& channel)>;
  /// Opens the device on shard 0, runs the body there, closes the device, and fails the test with any error.
  /// `body` is called once; what it captures outlives its task.
  void run(const Body& body);
  /// The same without a device.
  void run_bare(const std::function<Task<Result<>>()>& body);

  /// In simulation: what the next run does to its world before it starts.
  std::function<void(sim::World&)> prepare;
  /// In simulation, inside a body.
  sim::World& world() noexcept { return *world_; }
  bool simulated() const noexcept { return GetParam().where == Where::simulated; }
  bool powered_to_the_end() const noexcept { return powered_; }

  unsigned shards() const noexcept { return GetParam().shards; }
  std::string spec() const;
  const std::string& file() const noexcept { return file_; }
  std::uint64_t seed() const noexcept { return seed_; }

 private:
  Task<Result<>> with_device(const Body& body);

  sim::Disk disk_;
  sim::World* world_ = nullptr;
  bool powered_ = true;
  std::string directory_, file_;
  std::optional<LoopDevice> loop_;
  std::uint64_t seed_ = 0;
};

/// Memory for I/O of any device: aligned to 4 KiB.
class Memory {
 public:
  explicit Memory(std::size_t bytes);
  Memory(Memory&&) noexcept = default;
  Memory& operator=(Memory&&) noexcept = default;

  MutableBytes bytes() const noexcept { return {data_.get(), size_}; }
  MutableBytes part(std::size_t offset, std::size_t size) const { return bytes().subspan(offset, size); }
  std::byte* data() const noexcept { return data_.get(); }
  /// Fills it with what follows from the number; differs in every 8 bytes.
  Memory& fill(std::uint64_t number);
  bool operator==(const Memory& other) const noexcept { return equal(bytes(), other.bytes()); }
  bool all(std::byte value) const noexcept;

 private:
  struct Free {
    void operator()(std::byte* data) const noexcept;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_;
};

}  // namespace ashlar::testing

#pragma once

/// For tests of single kinds of device: a registry of one's own, a runtime or a simulated world to open them
/// in, and children of other rights. What every kind must do is in device/conformance.h.

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ashlar/block/registry.h"
#include "ashlar/runtime/ops/sim/world.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar::testing {

/// A directory that goes with the test.
class TestDirectory {
 public:
  TestDirectory() {
    std::string pattern = ::testing::TempDir() + "ashlar_XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TestDirectory() { std::filesystem::remove_all(path_); }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// A file of so many bytes, each block of 512 filled with its number's low byte.
  std::string file(const std::string& name, std::uint64_t bytes) const {
    std::ofstream out(*this / name, std::ios::binary);
    for (std::uint64_t at = 0; at < bytes; at += 512)
      out << std::string(std::min<std::uint64_t>(512, bytes - at), static_cast<char>(at / 512));
    return *this / name;
  }

 private:
  std::string path_;
};

/// Memory for I/O of any device.
class AlignedMemory {
 public:
  explicit AlignedMemory(std::size_t bytes)
      : data_(static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096))), size_(bytes) {
    std::fill_n(data_.get(), bytes, std::byte{0xee});
  }
  MutableBytes bytes() const noexcept { return {data_.get(), size_}; }
  MutableBytes part(std::size_t at, std::size_t size) const noexcept { return bytes().subspan(at, size); }

 private:
  struct Free {
    void operator()(std::byte* data) const noexcept { std::free(data); }
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_;
};

using DeviceBody = std::function<Task<Result<>>(Device& device, Channel& channel)>;

/// Opens the device on the current shard, runs the body, closes the device.
inline Task<Result<>> with_device(const Registry& registry, std::string spec, DeviceBody body) {
  auto device = co_await registry.open(spec);
  if (!device) {
    ADD_FAILURE() << device.error().show(spec);
    co_return Result<>{};
  }
  const auto channel = co_await (*device)->channel();
  Result<> result;
  if (channel) {
    result = co_await body(**device, **channel);
  } else {
    result = std::unexpected(channel.error());
  }
  co_await (*device)->close();
  co_return result;
}

/// Runs `body` on shard 0 of a real runtime.
inline void run_real(BackendKind backend, unsigned shards, const std::function<Task<Result<>>()>& body) {
  RuntimeOptions options;
  options.shards = shards;
  options.pin = false;
  options.backend = backend;
  Runtime runtime(options);
  const Result<> result = runtime.run([&](Shard& shard) -> Task<Result<>> {
    return shard.id() == ShardId(0) ? body() : []() -> Task<Result<>> { co_return Result<>{}; }();
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

/// Runs `body` on shard 0 of a simulated world.
inline void run_simulated(unsigned shards, sim::Disk& disk,
                          const std::function<Task<Result<>>(sim::World&)>& body) {
  sim::World world({.shards = shards, .environment = {.seed = 1}, .shard = {}}, disk);
  std::optional<Result<>> result;
  const auto keep = [](Task<Result<>> task, std::optional<Result<>>* into) -> Task<> {
    into->emplace(co_await task);
  };
  world.spawn(0, world.on(0, [&] { return keep(body(world), &result); }));
  ASSERT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(*result) << result->error().to_string();
}

/// The error that opening `spec` gives, on the current shard.
inline Task<Result<>> expect_refused(const Registry& registry, std::string spec, Errc code, std::size_t at,
                                     std::string_view says) {
  auto device = co_await registry.open(spec);
  if (device) {
    ADD_FAILURE() << spec << " opened";
    co_await (*device)->close();
    co_return Result<>{};
  }
  EXPECT_EQ(device.error().code, code) << spec << ": " << device.error().message;
  EXPECT_EQ(device.error().at, at) << device.error().show(spec);
  EXPECT_NE(device.error().message.find(says), std::string::npos) << device.error().message;
  co_return Result<>{};
}

inline bool has_note(const Device& device, std::string_view says) {
  for (const std::string& note : device.notes()) {
    if (note.find(says) != std::string::npos) return true;
  }
  return false;
}

/// The kernel ends a ring, and closes the files it holds, a while after its owner has.
inline void unmount(const std::string& mountpoint) {
  int refused = -1;
  for (int i = 0; i < 1000 && refused != 0; ++i) {
    if (i != 0) ::usleep(10'000);
    refused = ::umount2(mountpoint.c_str(), 0);
  }
  EXPECT_EQ(refused, 0) << mountpoint;
}

/// Runs `body` in a child process, after `restrict` has taken rights away from it; expects no failure there.
inline void run_restricted(const std::function<void()>& restrict, const std::function<void()>& body) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    restrict();
    body();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the child ended with " << status;
}

}  // namespace ashlar::testing

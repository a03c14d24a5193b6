#pragma once

/// The test bench of the conformance suite: one shard on each of the back ends, which must all behave the
/// same.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "ashlar/base/bytes.h"
#include "ashlar/base/random.h"
#include "ashlar/runtime/ops/sim/environment.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::testing {

enum class Subject : std::uint8_t {
  uring,            ///< as this kernel has it
  uring_6_0,        ///< as a kernel has it without DEFER_TASKRUN
  uring_5_19,       ///< as a kernel has it that refuses a multishot receive
  uring_plain,      ///< as the oldest supported kernel has it: no flags, registered files, buffer rings
  uring_no_poller,  ///< where a security module refuses SQPOLL
  epoll,
  simulated,
};
std::string to_string(Subject subject);
inline void PrintTo(Subject subject, std::ostream* out) {
  *out << to_string(subject);
}

/// The small pool of receive buffers that the shards under test have.
constexpr unsigned pool_buffers = 8;
constexpr unsigned pool_buffer_bytes = 4096;

/// Random bytes of a seed.
inline std::string random_text(std::size_t bytes, std::uint64_t seed) {
  Random random(seed);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}
inline MutableBytes writable(std::string& text) {
  return {reinterpret_cast<std::byte*>(text.data()), text.size()};
}

#define EXPECT_FAILS(expected, ...)                                             \
  do {                                                                          \
    auto&& failing = (__VA_ARGS__);                                             \
    EXPECT_FALSE(failing) << #__VA_ARGS__ << " succeeded";                      \
    if (!failing) {                                                             \
      EXPECT_EQ(failing.error().code, expected) << failing.error().to_string(); \
    }                                                                           \
  } while (false)

class Conformance : public ::testing::TestWithParam<Subject> {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Runs a task on the shard, until it and all that it started have ended. Fails the test with the task's
  /// error, and where nothing happens for a long time.
  void run(Task<Result<>> task);

  bool simulated() const noexcept { return GetParam() == Subject::simulated; }
  Shard& shard() noexcept { return *shard_; }
  /// A path in a directory of the test's own.
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  const std::string& directory() const noexcept { return directory_; }

 private:
  Result<std::unique_ptr<Backend>> make_backend();

  sim::Disk disk_;
  std::optional<sim::Environment> environment_;
  Mesh mesh_{1};
  std::unique_ptr<Shard> shard_;
  std::string directory_;
};

}  // namespace ashlar::testing

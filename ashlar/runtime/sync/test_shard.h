#pragma once

/// One shard under virtual time and without I/O, for tests of what needs only tasks and timers.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "ashlar/base/random.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::testing {

/// A back end without files and sockets: any use of one is a bug of the test.
class NoIoBackend : public Backend {
 public:
  void submit(Operation&) noexcept override { std::abort(); }
  void cancel(Operation&) noexcept override { std::abort(); }
  unsigned poll() noexcept override { return 0; }
  bool pending() const noexcept override { return false; }
  void recycle(ReceiveBuffer&) noexcept override {}
  std::uint64_t wall_ms() const noexcept override { return 0; }
  std::uint64_t random() noexcept override { return random_.next(); }
  unsigned in_flight() const noexcept override { return 0; }
  Result<Handle> listen(const Address&, const ListenOptions&) override { return none(); }
  Result<Handle> socket(const Address&) override { return none(); }
  Result<Handle> datagram_socket(const Address&) override { return none(); }
  Result<Address> local_address(Handle) override { return none(); }
  Result<Address> peer_address(Handle) override { return none(); }
  Result<std::vector<DirectoryEntry>> list(const std::string&) override { return none(); }
  Result<> make_directory(const std::string&) override { return none(); }
  Result<std::uint64_t> file_bytes(Handle) override { return none(); }
  Result<FileSystemSpace> space(const std::string&) override { return none(); }
  Result<FileTraits> describe(Handle) override { return none(); }
  Result<std::unique_ptr<IoRing>> open_ring(const RingOptions&) override { return none(); }
  Result<> register_region(std::uint32_t, MutableBytes) override { return none(); }
  Result<MappedRange> map(Handle, std::uint64_t, std::uint64_t, const MapOptions&) override { return none(); }
  Result<Handle> lock(const std::string&) override { return none(); }

 private:
  static std::unexpected<Error> none() { return fail(Errc::unsupported, "a back end without I/O"); }

  Random random_{1};
};

/// Time passes only while the shard waits.
class ClockBackend final : public NoIoBackend {
 public:
  const char* name() const noexcept override { return "clock"; }
  unsigned wait(Instant until) noexcept override {
    EXPECT_NE(until, never) << "every task waits for another";
    if (until == never) std::abort();
    now_ = std::max(now_, until);
    return 0;
  }
  void wake() noexcept override {}
  Instant now() const noexcept override { return now_; }

 private:
  Instant now_{};
};

/// The current shard of this thread while it lives.
class TestShard {
 public:
  TestShard() : mesh_(1), shard_(ShardId(0), std::make_unique<ClockBackend>(), mesh_, {}) {
    previous_ = Shard::enter(&shard_);
  }
  ~TestShard() {
    EXPECT_EQ(shard_.frames().frames_live(), 0u);
    Shard::enter(previous_);
  }
  Shard& operator*() noexcept { return shard_; }
  Shard* operator->() noexcept { return &shard_; }

  /// Runs a task, and whatever it started in the shard's scope, to the end.
  template <class T>
  T run(Task<T> task) {
    std::optional<T> value;
    auto store = [](Task<T> inner, std::optional<T>* into) -> Task<void> { into->emplace(co_await inner); };
    run(store(std::move(task), &value));
    return *std::move(value);
  }
  void run(Task<void> task) {
    shard_.scope().spawn(std::move(task), Share::foreground);
    while (shard_.scope().live() != 0) {
      if (!shard_.poll_once()) shard_.sleep();
    }
  }
  /// Runs what is ready, without letting time pass.
  void settle() {
    while (shard_.poll_once()) {
    }
  }

 private:
  Mesh mesh_;
  Shard shard_;
  Shard* previous_ = nullptr;
};

}  // namespace ashlar::testing

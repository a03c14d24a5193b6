#include "ashlar/runtime/ops/conformance.h"

#include <cstdlib>
#include <filesystem>

#include "ashlar/runtime/ops/epoll/epoll_backend.h"
#include "ashlar/runtime/ops/sim/sim_backend.h"
#include "ashlar/runtime/ops/uring/uring_backend.h"

namespace ashlar::testing {

std::string to_string(Subject subject) {
  switch (subject) {
    case Subject::uring: return "uring";
    case Subject::uring_plain: return "uring_plain";
    case Subject::epoll: return "epoll";
    case Subject::simulated: return "simulated";
  }
  return "unknown";
}

Result<std::unique_ptr<Backend>> Conformance::make_backend() {
  switch (GetParam()) {
    case Subject::uring:
      return UringBackend::create(
          {.receive_buffer_count = pool_buffers, .receive_buffer_bytes = pool_buffer_bytes});
    case Subject::uring_plain:
      return UringBackend::create({.submission_entries = 4,
                                   .completion_entries = 8,
                                   .receive_buffer_count = pool_buffers,
                                   .receive_buffer_bytes = pool_buffer_bytes,
                                   .registered_files_max = 0,
                                   .best_profile = RingProfile::plain});
    case Subject::epoll:
      return EpollBackend::create({.file_threads_max = 4,
                                   .receive_buffer_count = pool_buffers,
                                   .receive_buffer_bytes = pool_buffer_bytes});
    case Subject::simulated:
      environment_.emplace(
          sim::EnvironmentOptions{
              .network = {}, .receive_buffers = pool_buffers, .receive_buffer_bytes = pool_buffer_bytes},
          disk_);
      return std::make_unique<sim::SimBackend>(*environment_);
  }
  return fail(Errc::invalid, "unknown subject");
}

void Conformance::SetUp() {
  auto backend = make_backend();
  if (!backend) GTEST_SKIP() << to_string(GetParam()) << " is not available: " << backend.error().to_string();
  shard_ = std::make_unique<Shard>(ShardId(0), *std::move(backend), mesh_, ShardOptions{});
  Shard::enter(shard_.get());
  if (simulated()) {
    directory_ = "/test";
    ASSERT_TRUE(shard_->backend().make_directory(directory_));
  } else {
    std::string pattern = ::testing::TempDir() + "ashlar_conformance_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
}

void Conformance::TearDown() {
  if (shard_ == nullptr) return;
  EXPECT_EQ(shard_->backend().in_flight(), 0u);
  EXPECT_EQ(shard_->frames().frames_live(), 0u);
  shard_.reset();
  Shard::enter(nullptr);
  if (!simulated()) std::filesystem::remove_all(directory_);
}

void Conformance::run(Task<Result<>> task) {
  bool done = false;
  const auto check = [](Task<Result<>> tested, bool* ended) -> Task<> {
    const Result<> result = co_await tested;
    EXPECT_TRUE(result) << result.error().to_string();
    *ended = true;
  };
  shard_->scope().spawn(check(std::move(task), &done), Share::foreground);

  Instant progress = shard_->now();
  while (!done || shard_->scope().live() != 0 || shard_->backend().in_flight() != 0) {
    if (shard_->poll_once()) {
      progress = shard_->now();
      continue;
    }
    if (shard_->now() - progress > std::chrono::seconds(20)) {
      ADD_FAILURE() << "nothing has happened for 20 s: " << shard_->scope().live() << " tasks, "
                    << shard_->backend().in_flight() << " operations are left";
      std::abort();  // their frames cannot be taken down
    }
    shard_->sleep(progress + std::chrono::seconds(30));
  }
}

}  // namespace ashlar::testing

/// log-append: one record at a time, appended and durable, beside the write that it cannot do without: 4 KiB
/// with O_DSYNC into a file whose blocks were all written before.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <utility>

#include "ashlar/blob/directory/directory_store.h"
#include "ashlar/log/log.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/runtime/sync/sleep.h"
#include "bench/case.h"
#include "bench/machine.h"
#include "bench/process.h"

namespace ashlar::bench {

namespace {

constexpr std::size_t block_bytes = 4096;
constexpr std::size_t payload_bytes = 3900;  // with the headers of group and record: one block
constexpr std::uint64_t segment_bytes = 64u << 20;
constexpr std::chrono::seconds warm_up(1);

class NobodyReads final : public wal::LogOwner {
 public:
  Result<> on_record(const wal::Record&) override { return {}; }
  void on_durable(const wal::Progress&) noexcept override {}
  void on_stopped(const Error&) noexcept override {}
};

Task<Result<>> append_records(wal::Log& log, std::uint64_t count, double* us) {
  const std::vector<std::byte> payload(payload_bytes, std::byte{0x5a});
  const double start = seconds_now();
  for (std::uint64_t i = 0; i < count; ++i) {
    const wal::LogPosition at = CO_TRY(log.append({.sequence = i}, Bytes(payload)));
    CO_TRY(co_await log.durable(at));
  }
  *us = (seconds_now() - start) * 1e6 / static_cast<double>(count);
  if (log.stats().write_bytes != log.stats().writes * block_bytes)
    co_return fail(Errc::invalid, "log-append");
  co_return Result<>{};
}

Task<Result<>> run_log(std::string path, std::uint64_t count, double* us) {
  const auto store = CO_TRY(co_await blob::open_directory(path, {.reserve_bytes = 0}));
  NobodyReads owner;
  auto log = CO_TRY(co_await wal::Log::open(*store, 0, {.segment_bytes = segment_bytes}, 1, owner));
  CO_TRY(co_await sleep_for(warm_up));  // the segments at hand are filled in the background
  const Result<> appended = co_await append_records(*log, count, us);
  const Result<> closed = co_await log->close();
  log.reset();
  CO_TRY(co_await store->close());
  co_return appended ? closed : appended;
}

Result<Sample> measure_log(const std::string& data, std::uint64_t count) {
  const ScratchDirectory scratch(data);
  Sample sample;
  Result<> result;
  on_cores({cores().back()}, [&] {
    Runtime runtime({.shards = 1, .shard = {}, .uring = {}});
    result = runtime.run([&](Shard&) { return run_log(scratch.path(), count, &sample.value); });
  });
  TRY(std::move(result));
  return sample;
}

Result<> write_blocks(int fd, std::uint64_t count, const std::byte* block) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto at = static_cast<off_t>(i * block_bytes);
    if (::pwrite(fd, block, block_bytes, at) != block_bytes) return fail_errno(errno, "pwrite");
  }
  return {};
}

Result<Sample> measure_raw(const std::string& data, std::uint64_t count) {
  const ScratchDirectory scratch(data);
  const std::string path = scratch.path() + "/raw";
  const std::unique_ptr<std::byte, decltype(&std::free)> block(
      static_cast<std::byte*>(std::aligned_alloc(block_bytes, block_bytes)), &std::free);
  std::fill_n(block.get(), block_bytes, std::byte{0x5a});
  Sample sample;
  Result<> result;
  on_cores({cores().back()}, [&] {
    const int plain = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    result = write_blocks(plain, count, block.get());
    if (result && ::fsync(plain) != 0) result = fail_errno(errno, "fsync");
    ::close(plain);
    if (!result) return;
    const int fd = ::open(path.c_str(), O_WRONLY | O_DIRECT | O_DSYNC | O_CLOEXEC);
    const double start = seconds_now();
    result = write_blocks(fd, count, block.get());
    sample.value = (seconds_now() - start) * 1e6 / static_cast<double>(count);
    ::close(fd);
  });
  TRY(std::move(result));
  return sample;
}

Result<Contest> prepare(const BenchOptions& options) {
  const std::uint64_t count = scaled(options, 3'000);
  Contest contest;
  contest.ashlar = [=, data = options.data] { return measure_log(data, count); };
  contest.peer = [=, data = options.data] { return measure_raw(data, count); };
  contest.configuration = {{"records", std::to_string(count)},
                           {"payload bytes", std::to_string(payload_bytes)},
                           {"device write", "4096 bytes, durable, one at a time"},
                           {"raw", "pwrite, O_DIRECT | O_DSYNC, pre-written"},
                           {"pinned", "both sides to one core"}};
  return contest;
}

}  // namespace

void add_log_cases(std::vector<Case>& cases) {
  cases.push_back({.name = "log-append",
                   .summary = "a durable record, one at a time, beside a raw 4 KiB O_DSYNC write",
                   .unit = "us",
                   .more_is_better = false,
                   .peer_name = "pwrite",
                   .prepare = prepare});
}

}  // namespace ashlar::bench

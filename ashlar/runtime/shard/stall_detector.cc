#include "ashlar/runtime/shard/stall_detector.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fmt/format.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "ashlar/base/log.h"
#include "ashlar/runtime/ops/start_thread.h"

namespace ashlar {

namespace {

constexpr int frames_max = 64;
// The handler, and what the kernel put on the stack to call it.
constexpr int frames_of_the_handler = 2;

/// The stack that is being taken. One at a time.
struct Capture {
  std::mutex mutex;  // of detectors; the handler takes none
  std::atomic<const std::atomic<std::int64_t>*> running_since{nullptr};  // set: a stack is wanted
  std::int64_t expected = 0;  // of that running_since: the stall that was seen
  std::array<void*, frames_max> frames{};
  int depth = 0;
  std::atomic<bool> answered{false};
};
Capture capture;

// Runs on the stalled thread, in the middle of anything.
void take_stack(int) noexcept {
  const int saved_errno = errno;
  const auto* running_since = capture.running_since.exchange(nullptr, std::memory_order_acquire);
  if (running_since == nullptr) return;
  const bool same_stall = running_since->load(std::memory_order_relaxed) == capture.expected;
  capture.depth = same_stall ? backtrace(capture.frames.data(), frames_max) : 0;
  capture.answered.store(true, std::memory_order_release);
  errno = saved_errno;
}

std::int64_t now_ns() noexcept {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status),
                                                    std::free);
  return status == 0 ? text.get() : name;
}

/// "ashlar::lsm::compact() + 0x1f (/usr/bin/ashlar+0x4321)": the latter is what addr2line takes.
std::string describe(void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0) return fmt::format("{}", address);
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  std::string place =
      fmt::format("({}+{:#x})", info.dli_fname, at - reinterpret_cast<std::uintptr_t>(info.dli_fbase));
  if (info.dli_sname == nullptr) return place;
  return fmt::format("{} + {:#x} {}", demangled(info.dli_sname),
                     at - reinterpret_cast<std::uintptr_t>(info.dli_saddr), place);
}

/// The stack of a thread that has been in the same stall since `expected`; empty where it has ended, or the
/// thread did not get to answer within a moment.
std::vector<std::string> stack_of(pthread_t thread, const std::atomic<std::int64_t>& running_since,
                                  std::int64_t expected) {
  const std::lock_guard lock(capture.mutex);
  capture.expected = expected;
  capture.answered.store(false, std::memory_order_relaxed);
  capture.running_since.store(&running_since, std::memory_order_release);
  std::vector<std::string> stack;
  if (pthread_kill(thread, StallDetector::signal_number()) != 0) return stack;
  const timespec moment{0, 1'000'000};
  for (int patience = 0; !capture.answered.load(std::memory_order_acquire); ++patience) {
    if (patience >= 200 && capture.running_since.exchange(nullptr, std::memory_order_acq_rel) != nullptr)
      return stack;
    nanosleep(&moment, nullptr);
  }
  for (int i = std::min(frames_of_the_handler, capture.depth); i < capture.depth; ++i) {
    stack.push_back(describe(capture.frames[static_cast<std::size_t>(i)]));
  }
  return stack;
}

}  // namespace

StallDetector::StallDetector(Report report) : report_(std::move(report)) {
  void* warm_up = nullptr;
  backtrace(&warm_up, 1);  // the first call loads a library; the handler must not
  struct sigaction action{};
  action.sa_handler = take_stack;
  action.sa_flags = SA_RESTART;
  sigaction(signal_number(), &action, nullptr);
  auto thread = start_thread([this] { run(); });
  if (thread) {
    thread_ = *std::move(thread);
  } else {
    log::warn("{}: tasks that hold a shard too long go unreported", thread.error());
  }
}

int StallDetector::signal_number() noexcept {
  return SIGRTMIN + 3;
}

StallDetector::~StallDetector() {
  {
    const std::lock_guard lock(mutex_);
    assert(watches_.empty());
    stop_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

StallDetector::Watch::Watch(StallDetector& detector, Shard& shard)
    : detector_(detector), shard_(shard), thread_(pthread_self()) {
  {
    const std::lock_guard lock(detector_.mutex_);
    detector_.watches_.push_back(this);
  }
  shard_.on_awake([](void* self) noexcept { static_cast<StallDetector*>(self)->shard_awoke(); }, &detector_);
  detector_.changed_.notify_one();
}

StallDetector::Watch::~Watch() {
  shard_.on_awake(nullptr, nullptr);
  const std::lock_guard lock(detector_.mutex_);
  std::erase(detector_.watches_, this);
}

void StallDetector::run() {
  pthread_setname_np(pthread_self(), "ashlar-stalls");
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    looks_.fetch_add(1, std::memory_order_relaxed);
    for (Watch* watch : watches_) look(*watch);
    // As Shard::sleep does: we show that we park, fence, look again; a shard shows that it woke up, fences,
    // looks at us. One of the two sees the other.
    parked_.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (all_asleep()) {
      changed_.wait(lock,
                    [this] { return stop_ || !parked_.load(std::memory_order_relaxed) || !all_asleep(); });
    }
    parked_.store(false, std::memory_order_relaxed);
    if (!stop_) changed_.wait_for(lock, interval());
  }
}

bool StallDetector::all_asleep() const {
  return std::ranges::all_of(watches_, [](const Watch* watch) { return watch->shard_.sleeping(); });
}

Duration StallDetector::interval() const {
  Duration shortest = std::chrono::seconds(1);
  for (const Watch* watch : watches_) shortest = std::min(shortest, watch->shard_.options().stall / 2);
  return std::max(shortest, Duration(std::chrono::milliseconds(1)));
}

void StallDetector::shard_awoke() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!parked_.load(std::memory_order_relaxed)) return;
  {
    const std::lock_guard lock(mutex_);
    parked_.store(false, std::memory_order_relaxed);
  }
  changed_.notify_one();
}

void StallDetector::look(Watch& watch) {
  const std::atomic<std::int64_t>& running_since = watch.shard_.running_since();
  const std::int64_t since = running_since.load(std::memory_order_relaxed);
  if (since == 0 || since == watch.reported_) return;
  const Duration held(now_ns() - since);
  if (held <= watch.shard_.options().stall) return;
  watch.reported_ = since;
  report_({.shard = watch.shard_.id(), .held = held, .stack = stack_of(watch.thread_, running_since, since)});
}

void StallDetector::log_report(const StallReport& report) {
  std::string stack;
  for (const std::string& frame : report.stack) stack += "\n    " + frame;
  log::warn("shard {}: a task has held it for {} ms{}", report.shard.value,
            std::chrono::duration_cast<std::chrono::milliseconds>(report.held).count(), stack);
}

}  // namespace ashlar

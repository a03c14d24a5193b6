/// mesh-roundtrip: invoke() of an empty function on the other shard and back, both shards awake, beside a
/// cache line passed between the same two cores. mesh-batch: messages one way, beside a bare ring of
/// pointers.

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>

#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/runtime/sync/semaphore.h"
#include "bench/case.h"
#include "bench/machine.h"

namespace ashlar::bench {

namespace {

constexpr std::size_t line_bytes = 64;

std::vector<int> two_cores() {
  return {cores().front(), cores().back()};
}

Runtime two_shards() {
  return Runtime({.shards = 2, .shard = {}, .uring = {}});
}

double ns_each(double start, std::uint64_t count) {
  return (seconds_now() - start) * 1e9 / static_cast<double>(count);
}

Task<Result<>> make_round_trips(std::uint64_t count, double* ns) {
  const double start = seconds_now();
  for (std::uint64_t i = 0; i < count; ++i) co_await invoke(ShardId(1), [] {});
  *ns = ns_each(start, count);
  co_return Result<>{};
}

Task<Result<>> nothing() {
  co_return Result<>{};
}

/// Runs `first` on shard 0 while shard 1 serves.
Result<Sample> measure_on_shard_0(const std::function<Task<Result<>>(double*)>& first) {
  Sample sample;
  Result<> result;
  on_cores(two_cores(), [&] {
    Runtime runtime = two_shards();
    result = runtime.run(
        [&](Shard& shard) { return shard.id() == ShardId(0) ? first(&sample.value) : nothing(); });
  });
  TRY(std::move(result));
  return sample;
}

/// Runs `first` on the first core and `second` on the last, at the same time.
void run_pair(const std::function<void()>& first, const std::function<void()>& second) {
  std::thread other([&] { on_cores({cores().back()}, second); });
  on_cores({cores().front()}, first);
  other.join();
}

/// A counter that goes there and back, each direction in a line of its own.
Result<Sample> measure_cache_line(std::uint64_t count) {
  struct alignas(line_bytes) Line {
    std::atomic<std::uint64_t> turn{0};
  };
  std::array<Line, 2> lines;
  Sample sample;
  run_pair(
      [&] {
        const double start = seconds_now();
        for (std::uint64_t i = 1; i <= count; ++i) {
          lines[0].turn.store(i, std::memory_order_release);
          while (lines[1].turn.load(std::memory_order_acquire) != i) {
          }
        }
        sample.value = ns_each(start, count);
      },
      [&] {
        for (std::uint64_t i = 1; i <= count; ++i) {
          while (lines[0].turn.load(std::memory_order_acquire) != i) {
          }
          lines[1].turn.store(i, std::memory_order_release);
        }
      });
  return sample;
}

constexpr unsigned batch = 256;   // messages between two looks at what the other side has taken
constexpr unsigned batches = 16;  // in flight: more than a ring holds

/// Messages in groups; the last of a group carries its news back, so that the group may be sent again.
struct Group {
  struct Item : Message {
    std::uint64_t value = 0;
  };
  struct Answer : Message {
    Group* group = nullptr;
  };
  std::array<Item, batch> items;
  Answer answer;
  SemaphoreUnits sent;  // given back with the answer
};

thread_local std::uint64_t received_sum = 0;

void receive_item(Message& message) noexcept {
  received_sum += static_cast<Group::Item&>(message).value;
}
void group_returned(Message& message) noexcept {
  static_cast<Group::Answer&>(message).group->sent.release();
}
void receive_last(Message& message) noexcept {
  auto& answer = static_cast<Group::Answer&>(message);
  answer.deliver = group_returned;
  Shard::current().mesh().send(ShardId(0), answer);
}

Task<Result<>> send_batches(std::uint64_t count, double* ns) {
  auto groups = std::make_unique<std::array<Group, batches>>();
  for (Group& group : *groups) group.answer.group = &group;
  Semaphore free_groups(batches);
  co_await invoke(ShardId(1), [] { received_sum = 0; });
  const double start = seconds_now();
  std::uint64_t next = 0;
  for (std::uint64_t round = 0; next < count; ++round) {
    Group& group = (*groups)[round % batches];
    group.sent = CO_TRY(co_await free_groups.acquire());  // groups come back in the order they left
    for (Group::Item& item : group.items) {
      item.deliver = receive_item;
      item.value = next++;
      Shard::current().mesh().send(ShardId(1), item);
    }
    group.answer.deliver = receive_last;
    Shard::current().mesh().send(ShardId(1), group.answer);
  }
  const SemaphoreUnits all_returned = CO_TRY(co_await free_groups.acquire(batches));
  *ns = ns_each(start, next);
  const std::uint64_t sum = co_await invoke(ShardId(1), [] { return received_sum; });
  if (sum != next * (next - 1) / 2) co_return fail(Errc::corrupt, "mesh-batch: messages lost");
  co_return Result<>{};
}

/// The least that passes pointers between two cores: indices cached on both sides, shown in batches of 32.
class BareRing {
 public:
  template <class F>
  void produce(std::uint64_t count, F&& item) {
    std::uint64_t taken = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      while (i - taken == capacity) taken = head_.load(std::memory_order_acquire);
      slots_[i % capacity] = item(i);
      if (i % 32 == 31 || i + 1 == count) tail_.store(i + 1, std::memory_order_release);
    }
  }
  template <class F>
  void consume(std::uint64_t count, F&& take) {
    for (std::uint64_t i = 0; i < count;) {
      const std::uint64_t end = tail_.load(std::memory_order_acquire);
      for (; i < end; ++i) take(slots_[i % capacity]);
      head_.store(i, std::memory_order_release);
    }
  }

 private:
  static constexpr std::uint64_t capacity = 1024;
  alignas(line_bytes) std::atomic<std::uint64_t> tail_{0};
  alignas(line_bytes) std::atomic<std::uint64_t> head_{0};
  alignas(line_bytes) std::array<std::uint64_t*, capacity> slots_{};
};

Result<Sample> measure_bare_ring(std::uint64_t count) {
  auto ring = std::make_unique<BareRing>();
  std::vector<std::uint64_t> values(std::size_t{batch} * batches);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i;
  Sample sample;
  std::uint64_t sum = 0;
  run_pair(
      [&] {
        const double start = seconds_now();
        ring->produce(count, [&](std::uint64_t i) { return &values[i % values.size()]; });
        sample.value = ns_each(start, count);
      },
      [&] { ring->consume(count, [&](const std::uint64_t* value) { sum += *value; }); });
  if (count % values.size() == 0 &&
      sum != count / values.size() * (values.size() * (values.size() - 1) / 2)) {
    return fail(Errc::corrupt, "bare ring: items lost");
  }
  return sample;
}

Result<Contest> prepare_round_trip(const BenchOptions& options) {
  if (cores().size() < 2) return fail(Errc::unsupported, "mesh-roundtrip needs two cores");
  const std::uint64_t count = scaled(options, 500'000);
  Contest contest;
  contest.ashlar = [=] {
    return measure_on_shard_0([=](double* ns) { return make_round_trips(count, ns); });
  };
  contest.peer = [=] { return measure_cache_line(count); };
  contest.configuration = {{"round trips", std::to_string(count)},
                           {"pinned", "one side to each of two cores"}};
  return contest;
}

Result<Contest> prepare_batch(const BenchOptions& options) {
  if (cores().size() < 2) return fail(Errc::unsupported, "mesh-batch needs two cores");
  const std::uint64_t count = scaled(options, 5'000) * batch * batches;
  Contest contest;
  contest.ashlar = [=] { return measure_on_shard_0([=](double* ns) { return send_batches(count, ns); }); };
  contest.peer = [=] { return measure_bare_ring(count); };
  contest.configuration = {{"messages", std::to_string(count)},
                           {"batch", std::to_string(batch)},
                           {"batches in flight", std::to_string(batches)},
                           {"pinned", "one side to each of two cores"}};
  return contest;
}

}  // namespace

void add_mesh_cases(std::vector<Case>& cases) {
  cases.push_back({.name = "mesh-roundtrip",
                   .summary = "a call to the other shard and back, beside a cache line passed to and fro",
                   .unit = "ns",
                   .more_is_better = false,
                   .peer_name = "cache line",
                   .target = 1 / 1.5,
                   .prepare = prepare_round_trip});
  cases.push_back({.name = "mesh-batch",
                   .summary = "messages one way in batches, beside a bare ring of pointers",
                   .unit = "ns/message",
                   .more_is_better = false,
                   .peer_name = "SPSC ring",
                   .target = 0.3,
                   .prepare = prepare_batch});
}

}  // namespace ashlar::bench

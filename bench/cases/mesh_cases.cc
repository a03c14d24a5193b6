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

constexpr unsigned trips_per_slice = 100;

Task<Result<>> make_round_trips(std::uint64_t slices, double* ns) {
  SliceClock clock(slices);
  clock.mark();
  for (std::uint64_t slice = 0; slice < slices; ++slice) {
    for (unsigned i = 0; i < trips_per_slice; ++i) co_await invoke(ShardId(1), [] {});
    clock.mark();
  }
  *ns = clock.ns_each(trips_per_slice);
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
Result<Sample> measure_cache_line(std::uint64_t slices) {
  struct alignas(line_bytes) Line {
    std::atomic<std::uint64_t> turn{0};
  };
  std::array<Line, 2> lines;
  const std::uint64_t count = slices * trips_per_slice;
  SliceClock clock(slices);
  run_pair(
      [&] {
        for (std::uint64_t i = 1; i <= count; ++i) {
          if (i % trips_per_slice == 1) clock.mark();
          lines[0].turn.store(i, std::memory_order_release);
          while (lines[1].turn.load(std::memory_order_acquire) != i) {
          }
        }
        clock.mark();
      },
      [&] {
        for (std::uint64_t i = 1; i <= count; ++i) {
          while (lines[0].turn.load(std::memory_order_acquire) != i) {
          }
          lines[1].turn.store(i, std::memory_order_release);
        }
      });
  return Sample{.value = clock.ns_each(trips_per_slice)};
}

constexpr unsigned group_items = 128;  // between two answers from the receiver
constexpr unsigned groups = 6;         // in flight: less than a ring holds, so that nothing queues before it
constexpr unsigned rounds_per_slice = 8;
constexpr std::uint64_t round_messages = std::uint64_t{group_items} * groups;
constexpr std::uint64_t slice_messages = round_messages * rounds_per_slice;
constexpr std::uint64_t round_sum = round_messages * (round_messages - 1) / 2;

/// Messages with a value each, which stays the same; the last of a group comes back, so that it may be sent
/// again.
struct Group {
  struct Item : Message {
    std::uint64_t value = 0;
  };
  struct Last : Message {
    SemaphoreUnits sent;
  };
  std::array<Item, group_items> items;
  Last last;
};

thread_local std::uint64_t received_sum = 0;

void receive_item(Message& message) noexcept {
  received_sum += static_cast<Group::Item&>(message).value;
}
void group_returned(Message& message) noexcept {
  static_cast<Group::Last&>(message).sent.release();
}
void receive_last(Message& message) noexcept {
  Shard::current().mesh().reply(message, group_returned);
}

Task<> send_round(std::array<Group, groups>& all, Semaphore& free_groups) {
  MeshPort& mesh = Shard::current().mesh();
  for (Group& group : all) {
    auto units = co_await free_groups.acquire();  // groups come back in the order they left
    if (!units) co_return;
    group.last.sent = std::move(*units);
    for (Group::Item& item : group.items) mesh.send(ShardId(1), item, receive_item);
    mesh.send(ShardId(1), group.last, receive_last);
  }
}

Task<Result<>> send_batches(std::uint64_t slices, double* ns) {
  auto all = std::make_unique<std::array<Group, groups>>();
  std::uint64_t value = 0;
  for (Group& group : *all) {
    for (Group::Item& item : group.items) item.value = value++;
  }
  Semaphore free_groups(groups);
  co_await invoke(ShardId(1), [] { received_sum = 0; });
  SliceClock clock(slices);
  clock.mark();
  for (std::uint64_t slice = 0; slice < slices; ++slice) {
    for (unsigned round = 0; round < rounds_per_slice; ++round) co_await send_round(*all, free_groups);
    clock.mark();
  }
  const SemaphoreUnits all_returned = CO_TRY(co_await free_groups.acquire(groups));
  *ns = clock.ns_each(slice_messages);
  const std::uint64_t sum = co_await invoke(ShardId(1), [] { return received_sum; });
  if (sum != slices * rounds_per_slice * round_sum) co_return fail(Errc::corrupt, "mesh-batch");
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

Result<Sample> measure_bare_ring(std::uint64_t slices) {
  auto ring = std::make_unique<BareRing>();
  std::vector<std::uint64_t> values(round_messages);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i;
  const std::uint64_t count = slices * slice_messages;
  SliceClock clock(slices);
  std::uint64_t sum = 0;
  run_pair(
      [&] {
        ring->produce(count, [&](std::uint64_t i) {
          if (i % slice_messages == 0) clock.mark();
          return &values[i % round_messages];
        });
        clock.mark();
      },
      [&] { ring->consume(count, [&](const std::uint64_t* value) { sum += *value; }); });
  if (sum != slices * rounds_per_slice * round_sum) return fail(Errc::corrupt, "bare ring");
  return Sample{.value = clock.ns_each(slice_messages)};
}

Result<Contest> prepare_round_trip(const BenchOptions& options) {
  if (cores().size() < 2) return fail(Errc::unsupported, "mesh-roundtrip needs two cores");
  const std::uint64_t slices = scaled(options, 2'000);
  Contest contest;
  contest.ashlar = [=] {
    return measure_on_shard_0([=](double* ns) { return make_round_trips(slices, ns); });
  };
  contest.peer = [=] { return measure_cache_line(slices); };
  contest.configuration = {{"round trips", std::to_string(slices * trips_per_slice)},
                           {"pinned", "one side to each of two cores"}};
  return contest;
}

Result<Contest> prepare_batch(const BenchOptions& options) {
  if (cores().size() < 2) return fail(Errc::unsupported, "mesh-batch needs two cores");
  const std::uint64_t slices = scaled(options, 500);
  Contest contest;
  contest.ashlar = [=] { return measure_on_shard_0([=](double* ns) { return send_batches(slices, ns); }); };
  contest.peer = [=] { return measure_bare_ring(slices); };
  contest.configuration = {{"messages", std::to_string(slices * slice_messages)},
                           {"in flight", std::to_string(round_messages)},
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

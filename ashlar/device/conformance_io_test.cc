/// What a channel does on one shard: data, bounds, memory, overlap, ends.

#include <algorithm>
#include <bit>
#include <memory>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/block/send_blocks.h"
#include "ashlar/device/conformance.h"
#include "ashlar/runtime/ops/accept_stream.h"
#include "ashlar/runtime/sync/deadline.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::testing {
namespace {

class DeviceIo : public DeviceConformance {};
INSTANTIATE_TEST_SUITE_P(Kinds, DeviceIo, ::testing::ValuesIn(setups()), name_of);

Task<Result<>> reads_back(Channel& channel, bool stores) {
  const Geometry& geometry = channel.geometry();
  const std::uint64_t last = geometry.blocks - 1;
  for (const std::uint64_t lba : {std::uint64_t{0}, std::uint64_t{7}, last / 2, last}) {
    const std::uint64_t count = std::min<std::uint64_t>(5, geometry.blocks - lba);
    Memory written(count * geometry.block_bytes), read(count * geometry.block_bytes);
    CO_TRY(co_await channel.write(Lba(lba), written.fill(lba + 1).bytes()));
    CO_TRY(co_await channel.read(Lba(lba), read.bytes()));
    if (stores) EXPECT_EQ(read, written) << "at " << lba;
  }
  co_return co_await channel.flush();
}
TEST_P(DeviceIo, ReadsBackWhatWasWritten) {
  run([&](Device&, Channel& channel) { return reads_back(channel, GetParam().kind.stores); });
}

Task<Result<>> moves_pool_buffers(Channel& channel, bool stores) {
  BufferPool& pool = Shard::current().buffers();
  for (const std::size_t bytes : {std::size_t{4096}, std::size_t{128} << 10, std::size_t{1} << 20}) {
    IoBuffer written = CO_TRY(pool.allocate(bytes)), read = CO_TRY(pool.allocate(bytes));
    Memory pattern(bytes);
    pattern.fill(bytes);
    std::ranges::copy(pattern.bytes(), written.data());
    std::ranges::fill(read.bytes(), std::byte{0});
    CO_TRY(co_await channel.write(Lba(8), written, {.durable = true}));
    CO_TRY(co_await channel.read(Lba(8), read));
    if (stores) EXPECT_TRUE(equal(read.bytes(), pattern.bytes())) << bytes;
  }
  co_return Result<>{};
}
TEST_P(DeviceIo, MovesRegisteredBuffers) {
  run([&](Device&, Channel& channel) { return moves_pool_buffers(channel, GetParam().kind.stores); });
}

/// More segments than one system call takes (IOV_MAX is 1024), of uneven sizes.
Task<Result<>> scatters(Channel& channel, bool stores, std::uint64_t seed) {
  const std::uint32_t block = channel.geometry().block_bytes;
  const std::uint32_t unit = std::max(block, channel.geometry().memory_alignment);
  Random random(seed);
  const std::uint64_t blocks = channel.geometry().blocks / 2;
  Memory written(blocks * block), read(blocks * block);
  written.fill(seed);
  const auto cut = [&](Memory& memory) {
    std::vector<Segment> segments;
    for (std::uint64_t at = 0; at < memory.bytes().size();) {
      const std::uint64_t left = memory.bytes().size() - at;
      const std::uint64_t size =
          std::min<std::uint64_t>(left, unit * random.between(1, block == 512 ? 4 : 1));
      segments.push_back({memory.data() + at, static_cast<std::uint32_t>(size)});
      at += size;
    }
    return segments;
  };
  const std::vector<Segment> from = cut(written), into = cut(read);
  CO_TRY(co_await channel.write(Lba(3), from));
  CO_TRY(co_await channel.read(Lba(3), into));
  if (stores) EXPECT_EQ(read, written);
  co_return Result<>{};
}
TEST_P(DeviceIo, ScattersAndGathersAnyNumberOfSegments) {
  run([&](Device&, Channel& channel) { return scatters(channel, GetParam().kind.stores, seed()); });
}

Task<Result<>> extents(Channel& channel, bool stores) {
  const std::uint32_t block = channel.geometry().block_bytes;
  constexpr std::size_t count = 200;
  Memory written(count * block), read(count * block);
  written.fill(11);
  std::vector<Segment> from, into;
  for (std::size_t i = 0; i < count; ++i) {
    from.push_back({written.data() + i * block, block});
    into.push_back({read.data() + i * block, block});
  }
  const auto requests = std::make_unique<Request[]>(count);
  for (const Op op : {Op::write, Op::read}) {
    for (std::size_t i = 0; i < count; ++i) {
      requests[i].op = op;
      requests[i].lba = Lba((i * 37 % count) * 2);  // scattered over the device, with gaps
      requests[i].data = {&(op == Op::write ? from : into)[i], 1};
    }
    CO_TRY(co_await channel.submit(std::span(requests.get(), count)));
  }
  if (stores) EXPECT_EQ(read, written);

  requests[5].lba = Lba(channel.geometry().blocks);  // one of them fails, the others do not
  const Result<> result = co_await channel.submit(std::span(requests.get(), count));
  EXPECT_FALSE(result);
  for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(requests[i].result.has_value(), i != 5);
  co_return co_await channel.submit(std::span<Request>());
}
TEST_P(DeviceIo, TakesManyExtentsInOneCall) {
  run([&](Device&, Channel& channel) { return extents(channel, GetParam().kind.stores); });
}

void expect_error(const Result<>& result, Errc code, std::uint64_t offset) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code) << result.error().to_string();
  EXPECT_EQ(result.error().offset, offset) << result.error().to_string();
  EXPECT_NE(std::string_view(result.error().where), "");
}

Task<Result<>> rejects(Channel& channel) {
  const Geometry& geometry = channel.geometry();
  const std::uint32_t block = geometry.block_bytes;
  Memory memory(4 * block + 4096);
  const std::uint64_t end = geometry.blocks;
  expect_error(co_await channel.read(Lba(end), memory.part(0, block)), Errc::invalid, end * block);
  expect_error(co_await channel.read(Lba(end - 1), memory.part(0, 2 * block)), Errc::invalid,
               (end - 1) * block);
  expect_error(co_await channel.write(Lba(end - 1), memory.part(0, 2 * block)), Errc::invalid,
               (end - 1) * block);
  expect_error(co_await channel.write(Lba(~std::uint64_t{0} >> 16), memory.part(0, block)), Errc::invalid,
               (~std::uint64_t{0} >> 16) * block);
  EXPECT_FALSE(co_await channel.read(Lba(~std::uint64_t{0}), memory.part(0, block)));
  expect_error(co_await channel.read(Lba(1), memory.part(0, 0)), Errc::invalid, block);
  expect_error(co_await channel.read(Lba(1), memory.part(0, block - 1)), Errc::invalid, block);
  expect_error(co_await channel.write(Lba(1), memory.part(0, block + 1)), Errc::invalid, block);
  expect_error(co_await channel.read(Lba(1), std::span<const Segment>()), Errc::invalid, block);
  expect_error(co_await channel.flush(Lba(end - 1), 2), Errc::invalid, (end - 1) * block);
  expect_error(co_await channel.write_zeroes(Lba(2), 0), Errc::invalid, 2 * block);
  expect_error(co_await channel.write_zeroes(Lba(end), 1), Errc::invalid, end * block);
  expect_error(co_await channel.compare_and_write(Lba(0), memory.part(0, block), memory.part(0, 2 * block)),
               Errc::invalid, 0);
  if (geometry.memory_alignment > 1) {
    expect_error(co_await channel.read(Lba(1), memory.part(1, block)), Errc::invalid, block);
    expect_error(co_await channel.write(Lba(1), memory.part(geometry.memory_alignment / 2, block)),
                 Errc::invalid, block);
  } else {
    CO_TRY(co_await channel.write(Lba(1), memory.part(1, block)));
    CO_TRY(co_await channel.read(Lba(1), memory.part(3, block)));
  }
  co_return Result<>{};
}
TEST_P(DeviceIo, RejectsWhatIsOutOfBoundsOrMisshapen) {
  run([](Device&, Channel& channel) { return rejects(channel); });
}

Task<> write_into(Channel& channel, Lba lba, Bytes from, unsigned* failed) {
  if (!co_await channel.write(lba, from)) ++*failed;
}

Task<Result<>> overlaps(Channel& channel, bool stores) {
  const std::uint32_t block = channel.geometry().block_bytes;
  constexpr std::uint64_t width = 8, writers = 32;
  std::vector<Memory> fills;
  for (std::uint64_t i = 0; i < writers; ++i) {
    fills.emplace_back(width * block);
    std::ranges::fill(fills.back().bytes(), static_cast<std::byte>(i + 1));
  }
  unsigned failed = 0;
  TaskScope scope;
  for (std::uint64_t i = 0; i < writers; ++i)
    scope.spawn(write_into(channel, Lba(i % 5), fills[i].bytes(), &failed));
  co_await scope.join();
  EXPECT_EQ(failed, 0u);
  Memory read((width + 4) * block);
  CO_TRY(co_await channel.read(Lba(0), read.bytes()));
  for (std::uint64_t lba = 0; stores && lba < width + 4; ++lba) {
    const MutableBytes found = read.part(lba * block, block);
    EXPECT_TRUE(std::ranges::all_of(found, [&](std::byte byte) { return byte == found[0]; }))
        << "block " << lba;
    EXPECT_NE(found[0], std::byte{0});
  }
  co_return Result<>{};
}
TEST_P(DeviceIo, OverlappingWritesLeaveEachBlockWhole) {
  run([&](Device&, Channel& channel) { return overlaps(channel, GetParam().kind.stores); });
}

/// One of many workers, each on blocks of its own, so that a model says what every read must return.
Task<> work(Channel& channel, std::uint64_t first, std::uint64_t blocks, std::uint64_t seed, bool stores,
            unsigned* wrong) {
  const std::uint32_t block = channel.geometry().block_bytes;
  Random random(seed);
  Memory model(blocks * block), scratch(blocks * block);
  for (int step = 0; step < 30; ++step) {
    const std::uint64_t at = random.below(blocks), count = random.between(1, blocks - at);
    const MutableBytes mine = model.part(at * block, count * block);
    if (step == 0 || random.one_in(2)) {
      const bool everything = step == 0;
      Memory fresh((everything ? blocks : count) * block);
      fresh.fill(random.next());
      if (!co_await channel.write(Lba(first + (everything ? 0 : at)), fresh.bytes(),
                                  {.durable = random.one_in(8)}))
        ++*wrong;
      std::ranges::copy(fresh.bytes(), everything ? model.data() : mine.data());
    } else if (random.one_in(8)) {
      if (!co_await channel.write_zeroes(Lba(first + at), count)) ++*wrong;
      std::ranges::fill(mine, std::byte{0});
    } else {
      if (!co_await channel.read(Lba(first + at), scratch.part(0, count * block))) ++*wrong;
      if (stores && !equal(scratch.part(0, count * block), mine)) ++*wrong;
    }
    if (random.one_in(16) && !co_await channel.flush()) ++*wrong;
  }
}

Task<Result<>> many_in_flight(Channel& channel, bool stores, std::uint64_t seed) {
  constexpr std::uint64_t workers = 100, each = 8;
  unsigned wrong = 0;
  TaskScope scope;
  for (std::uint64_t i = 0; i < workers; ++i)
    scope.spawn(work(channel, i * each, each, seed * 1000 + i, stores, &wrong));
  co_await scope.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(channel.in_flight(), 0u);
  co_return Result<>{};
}
TEST_P(DeviceIo, ManyWorkersEachFindTheirOwn) {
  run([&](Device&, Channel& channel) { return many_in_flight(channel, GetParam().kind.stores, seed()); });
}

Task<Result<>> zeroes_and_trims(Channel& channel, bool stores) {
  const std::uint32_t block = channel.geometry().block_bytes;
  constexpr std::uint64_t width = 64;
  Memory written(width * block), read(width * block);
  written.fill(3);
  CO_TRY(co_await channel.write(Lba(0), written.bytes()));
  CO_TRY(co_await channel.write_zeroes(Lba(5), 40, {.durable = true}));
  CO_TRY(co_await channel.read(Lba(0), read.bytes()));
  if (stores) {
    EXPECT_TRUE(
        std::ranges::all_of(read.part(5 * block, 40 * block), [](std::byte b) { return b == std::byte{0}; }));
    EXPECT_TRUE(equal(read.part(0, 5 * block), written.part(0, 5 * block)));
    EXPECT_TRUE(equal(read.part(45 * block, 19 * block), written.part(45 * block, 19 * block)));
  }
  const Result<> trimmed = co_await channel.trim(Lba(48), 8);
  if (!channel.geometry().trim) {
    expect_error(trimmed, Errc::unsupported, 48 * block);
  } else {
    EXPECT_TRUE(trimmed) << trimmed.error().to_string();
    CO_TRY(co_await channel.read(Lba(0), read.bytes()));
    if (stores) {
      EXPECT_TRUE(equal(read.part(45 * block, 3 * block), written.part(45 * block, 3 * block)));
      EXPECT_TRUE(equal(read.part(56 * block, 8 * block), written.part(56 * block, 8 * block)));
    }
  }
  // The range serves again.
  CO_TRY(co_await channel.write(Lba(0), written.bytes()));
  CO_TRY(co_await channel.read(Lba(0), read.bytes()));
  if (stores) EXPECT_EQ(read, written);
  co_return Result<>{};
}
TEST_P(DeviceIo, ZeroesAndTrims) {
  run([&](Device&, Channel& channel) { return zeroes_and_trims(channel, GetParam().kind.stores); });
}

Task<Result<>> compares(Channel& channel) {
  const std::uint32_t block = channel.geometry().block_bytes;
  Memory first(2 * block), second(2 * block), read(2 * block);
  first.fill(1), second.fill(2);
  CO_TRY(co_await channel.write(Lba(6), first.bytes()));
  CO_TRY(co_await channel.compare_and_write(Lba(6), first.bytes(), second.bytes(), {.durable = true}));
  CO_TRY(co_await channel.read(Lba(6), read.bytes()));
  EXPECT_EQ(read, second);
  expect_error(co_await channel.compare_and_write(Lba(6), first.bytes(), first.bytes()), Errc::conflict,
               6 * block);
  CO_TRY(co_await channel.read(Lba(6), read.bytes()));
  EXPECT_EQ(read, second);
  co_return Result<>{};
}
class StoringDevice : public DeviceConformance {};
INSTANTIATE_TEST_SUITE_P(Kinds, StoringDevice,
                         ::testing::ValuesIn(setups([](const Setup& setup) { return setup.kind.stores; })),
                         name_of);
TEST_P(StoringDevice, ComparesAndWrites) {
  run([](Device&, Channel& channel) { return compares(channel); });
}

Task<Result<>> writes_atomically(Channel& channel, bool stores) {
  const Geometry& geometry = channel.geometry();
  const std::uint32_t block = geometry.block_bytes, unit = geometry.atomic_write_bytes_max;
  Memory written(std::max<std::size_t>(unit * 2, block)), read(written.bytes().size());
  written.fill(17);
  if (unit == 0) {
    expect_error(co_await channel.atomic_write(Lba(3), written.part(0, block)), Errc::unsupported, 3 * block);
    co_return Result<>{};
  }
  EXPECT_TRUE(std::has_single_bit(unit) && std::has_single_bit(geometry.atomic_write_bytes_min));
  EXPECT_GE(geometry.atomic_write_bytes_min, block);
  const std::uint64_t count = unit / block;
  CO_TRY(co_await channel.atomic_write(Lba(count), written.part(0, unit), {.durable = true}));
  CO_TRY(co_await channel.atomic_write(Lba(0), written.part(0, geometry.atomic_write_bytes_min)));
  CO_TRY(co_await channel.read(Lba(count), read.part(0, unit)));
  if (stores) EXPECT_TRUE(equal(read.part(0, unit), written.part(0, unit)));
  // In pieces of memory, as any write.
  const std::size_t half = std::max<std::size_t>(unit / 2, geometry.memory_alignment);
  if (half < unit) {
    const Segment pieces[] = {Channel::segment_of(Bytes(written.part(half, half))),
                              Channel::segment_of(Bytes(written.part(0, unit - half)))};
    CO_TRY(co_await channel.write(Lba(2 * count), pieces, {.atomic = true}));
    CO_TRY(co_await channel.read(Lba(2 * count), read.part(0, unit)));
    if (stores) EXPECT_TRUE(equal(read.part(0, half), written.part(half, half)));
  }
  expect_error(co_await channel.atomic_write(Lba(0), written.bytes()), Errc::invalid, 0);
  if (count > 1)
    expect_error(co_await channel.atomic_write(Lba(1), written.part(0, unit)), Errc::invalid, block);
  expect_error(co_await channel.write_zeroes(Lba(0), 1, {.atomic = true}), Errc::invalid, 0);
  co_return Result<>{};
}
TEST_P(DeviceIo, WritesAtomicallyWhereItSaysSo) {
  run([&](Device&, Channel& channel) { return writes_atomically(channel, GetParam().kind.stores); });
}

Task<Result<>> allocates(Channel& channel) {
  const std::uint32_t block = channel.geometry().block_bytes;
  for (const std::size_t alignment : {std::size_t{1}, std::size_t{4096}, std::size_t{64} << 10}) {
    const IoBuffer buffer = CO_TRY(channel.allocate_buffer(2 * block, alignment));
    EXPECT_GE(buffer.size(), 2 * block);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % alignment, 0u);
    CO_TRY(co_await channel.read(Lba(0), buffer.bytes().first(2 * block)));
  }
  EXPECT_FALSE(channel.allocate_buffer(block, 3));
  EXPECT_FALSE(channel.allocate_buffer(block, std::size_t{4} << 20));
  co_return Result<>{};
}
TEST_P(DeviceIo, AllocatesMemoryThatSuitsIt) {
  run([](Device&, Channel& channel) { return allocates(channel); });
}

/// A client on the other end of a socket gets the very bytes of the device.
Task<Result<>> serves_a_socket(Channel& channel, bool stores) {
  const std::uint32_t block = channel.geometry().block_bytes;
  const std::uint64_t count = channel.geometry().blocks / 4 + 3;  // more than one piece
  Memory written(count * block);
  written.fill(31);
  CO_TRY(co_await channel.write(Lba(5), written.bytes()));
  const Listener listener = CO_TRY(Listener::open(CO_TRY(Address::parse("127.0.0.1:0"))));
  AcceptStream accepts(listener);
  const Socket server = CO_TRY(co_await Socket::connect(CO_TRY(listener.address())));
  const Socket client = CO_TRY(co_await accepts.next());
  co_await accepts.stop();
  Memory received(count * block);
  const auto receive = [](const Socket& from, MutableBytes into) -> Task<Result<std::size_t>> {
    co_return co_await from.receive_all(into);
  };
  auto [sent, got] =
      co_await when_all(send_blocks(server, channel, Lba(5), count), receive(client, received.bytes()));
  CO_TRY(sent);
  EXPECT_EQ(CO_TRY(got), count * block);
  if (stores) EXPECT_EQ(received, written);
  const Result<> beyond = co_await send_blocks(server, channel, Lba(channel.geometry().blocks), 1);
  EXPECT_FALSE(beyond);
  co_return Result<>{};
}
TEST_P(DeviceIo, ServesASocketWithoutACopy) {
  run([&](Device&, Channel& channel) { return serves_a_socket(channel, GetParam().kind.stores); });
}

Task<Result<>> cancels(Channel& channel, bool stores) {
  const std::uint32_t block = channel.geometry().block_bytes;
  Memory memory(block), read(block);
  memory.fill(77);
  TaskScope running;
  unsigned failed = 0;
  for (unsigned i = 0; i < 64; ++i) running.spawn(write_into(channel, Lba(i), memory.bytes(), &failed));
  co_await yield();
  running.cancel();
  // One that begins in a scope which is cancelled already: what ends a program must still reach the disk.
  running.spawn(write_into(channel, Lba(64), memory.bytes(), &failed));
  co_await running.join();
  EXPECT_EQ(failed, 0u);
  EXPECT_EQ(channel.in_flight(), 0u);
  for (unsigned i = 0; stores && i <= 64; ++i) {
    CO_TRY(co_await channel.read(Lba(i), read.bytes()));
    EXPECT_EQ(read, memory) << "block " << i;
  }
  co_return Result<>{};
}
TEST_P(DeviceIo, CancellingATaskLeavesItsIoWhole) {
  run([&](Device&, Channel& channel) { return cancels(channel, GetParam().kind.stores); });
}

/// A task that may be left owns its memory.
Task<Result<int>> read_later(Channel& channel) {
  Memory memory(channel.geometry().block_bytes);
  CO_TRY(co_await channel.read(Lba(0), memory.bytes()));
  co_return 1;
}
Task<Result<>> abandons(Channel& channel) {
  for (int i = 0; i < 20; ++i) {
    const auto left = co_await abandon_after(Shard::current().now(), read_later(channel));
    if (!left) EXPECT_EQ(left.error().code, Errc::timed_out);
  }
  co_return Result<>{};  // closing waits for what was left behind
}
TEST_P(DeviceIo, AWaiterMayLeave) {
  run([](Device&, Channel& channel) { return abandons(channel); });
}

Task<Result<>> deadlines(Channel& channel) {
  Memory memory(channel.geometry().block_bytes);
  const Instant past = Shard::current().now() - std::chrono::seconds(1);
  const Result<> late = co_await channel.read(Lba(0), memory.bytes(), {.deadline = past});
  if (!late) EXPECT_EQ(late.error().code, Errc::timed_out) << late.error().to_string();
  co_return co_await channel.read(Lba(0), memory.bytes(),
                                  {.deadline = Shard::current().now() + std::chrono::hours(1)});
}
TEST_P(DeviceIo, ADeadlineEndsOnlyWhatHasNotBegun) {
  run([](Device&, Channel& channel) { return deadlines(channel); });
}

Task<> write_until_closed(Channel& channel, Lba lba, Bytes from, unsigned* ok, unsigned* closed,
                          unsigned* other) {
  const Result<> result = co_await channel.write(lba, from);
  ++*(result ? ok : result.error().code == Errc::closed ? closed : other);
}

Task<Result<>> closes(Device& device, Channel& channel) {
  const std::uint32_t block = channel.geometry().block_bytes;
  Memory memory(block);
  unsigned ok = 0, closed = 0, other = 0;
  TaskScope scope;
  for (unsigned i = 0; i < 200; ++i)
    scope.spawn(write_until_closed(channel, Lba(i), memory.bytes(), &ok, &closed, &other));
  co_await yield();
  co_await device.close();
  co_await scope.join();
  EXPECT_EQ(ok + closed, 200u);
  EXPECT_EQ(other, 0u);
  const auto late = co_await device.channel();
  EXPECT_FALSE(late);
  if (!late) EXPECT_EQ(late.error().code, Errc::closed);
  co_return Result<>{};
}
TEST_P(DeviceIo, ClosingWaitsForWhatIsInFlight) {
  run([](Device& device, Channel& channel) { return closes(device, channel); });
}

Task<Result<>> maps(Device& device, Channel& channel) {
  const std::uint32_t block = channel.geometry().block_bytes;
  if (!channel.geometry().mappable) {
    const auto view = co_await device.map(Lba(0), 8, MapMode::read_only);
    EXPECT_FALSE(view);
    if (!view) EXPECT_EQ(view.error().code, Errc::unsupported) << view.error().to_string();
    co_return Result<>{};
  }
  Memory written(16 * block), read(16 * block);
  written.fill(21);
  CO_TRY(co_await channel.write(Lba(8), written.bytes()));
  CO_TRY(co_await channel.flush());
  MappedView view = CO_TRY(co_await device.map(Lba(8), 16, MapMode::read_write));
  EXPECT_TRUE(equal(view.bytes(), written.bytes()));
  written.fill(22);
  std::ranges::copy(written.bytes(), view.bytes().data());
  CO_TRY(co_await view.persist(0, view.bytes().size()));
  EXPECT_FALSE(co_await view.persist(view.bytes().size(), 1));
  EXPECT_TRUE(view.store(8, 0x0123456789abcdef));
  std::ranges::copy(view.bytes().subspan(8, 8), written.data() + 8);
  for (const std::uint64_t wrong : {std::uint64_t{4}, std::uint64_t{view.bytes().size()}, ~std::uint64_t{7}})
    EXPECT_FALSE(view.store(wrong, 1)) << wrong;
  CO_TRY(co_await view.persist(0, 16));
  CO_TRY(co_await channel.read(Lba(8), read.bytes()));
  EXPECT_EQ(read, written);
  EXPECT_TRUE(view.ok());

  MappedView copy = CO_TRY(co_await device.map(Lba(8), 16, MapMode::private_copy));
  std::ranges::fill(copy.bytes(), std::byte{0});
  CO_TRY(co_await channel.read(Lba(8), read.bytes()));
  EXPECT_EQ(read, written) << "a private mapping reached the device";
  co_await copy.release();
  co_await view.release();
  // Only where the mapping itself is persistent memory; no test machine has any.
  auto sync = co_await device.map(Lba(8), 16, MapMode::read_write_sync);
  if (!sync) EXPECT_EQ(sync.error().code, Errc::unsupported) << sync.error().to_string();
  if (sync) co_await sync->release();
  const auto beyond = co_await device.map(Lba(channel.geometry().blocks - 1), 2, MapMode::read_only);
  EXPECT_FALSE(beyond);
  if (!beyond) EXPECT_EQ(beyond.error().code, Errc::invalid);
  co_return Result<>{};
}
TEST_P(DeviceIo, MapsWhereItSaysSo) {
  run([](Device& device, Channel& channel) { return maps(device, channel); });
}

}  // namespace
}  // namespace ashlar::testing

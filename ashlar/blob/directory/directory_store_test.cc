#include "ashlar/blob/directory/directory_store.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "ashlar/blob/directory/file_name.h"
#include "ashlar/blob/directory/roots.h"
#include "ashlar/blob/test_blobs.h"
#include "ashlar/blob/test_machine.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::blob {
namespace {

using ashlar::testing::Machine;
using testing::expect_table;
using testing::use_every_blob;
using testing::write_table;

constexpr const char* directory = "/store";

Task<Result<std::unique_ptr<Store>>> open_at(std::string path,
                                             DirectoryOptions options = {.reserve_bytes = 1u << 20}) {
  const Result<> made = Shard::current().backend().make_directory(path);
  if (!made && made.error().code != Errc::exists) co_return std::unexpected(made.error());
  CO_TRY(co_await sync_directory(path.substr(0, path.rfind('/') + 1)));
  co_return co_await open_directory(std::move(path), options);
}

Task<Result<>> use_every_operation(std::string path) {
  auto store = CO_TRY(co_await open_at(path));
  EXPECT_EQ((co_await open_directory(path)).error().code, Errc::busy);
  CO_TRY(co_await use_every_blob(*store));
  CO_TRY(co_await store->close());

  store = CO_TRY(co_await open_directory(path));
  EXPECT_EQ(as_text(*CO_TRY(co_await store->read_root(1))), "two");
  co_return co_await store->close();
}

TEST(DirectoryStore, EveryOperationSimulated) {
  Machine machine;
  EXPECT_TRUE(machine.run([] { return use_every_operation(directory); }));
}

class DirectoryStoreReal : public ::testing::TestWithParam<BackendKind> {};

TEST_P(DirectoryStoreReal, EveryOperation) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("ashlar-blob-" + std::to_string(getpid()));
  RuntimeOptions options;
  options.shards = 1;
  options.pin = false;
  options.backend = GetParam();
  Runtime runtime(options);
  const Result<> result = runtime.run([&](Shard&) { return use_every_operation(path.string()); });
  EXPECT_TRUE(result) << result.error().to_string();
  std::filesystem::remove_all(path);
}
INSTANTIATE_TEST_SUITE_P(BackEnds, DirectoryStoreReal,
                         ::testing::Values(BackendKind::uring, BackendKind::epoll), [](const auto& kind) {
                           return kind.param == BackendKind::uring ? "uring" : "epoll";
                         });

TEST(FileName, OneNameForEachBlob) {
  EXPECT_EQ(table_file_name(42), "0000000042.table");
  EXPECT_EQ(segment_file_name({3, 7}), "3.0000000007.log");
  for (const std::string& name : {table_file_name(0), table_file_name(~std::uint64_t{0}), root_file_name(5),
                                  segment_file_name({~0u, 12'345'678'901}), new_root_file_name(0)}) {
    EXPECT_TRUE(parse_file_name(name)) << name;
  }
  for (const char* name :
       {"", "lock", "reserve", "42.table", "00000000042.table", "+000000042.table", "01.root",
        "99999999999999999999.table", "4294967296.root", "4294967296.0000000001.log", "1.2.log",
        "0000000042.tablet", "1.root.new.new", ".root", "a.root"}) {
    EXPECT_FALSE(parse_file_name(name)) << name;
  }
}

TEST(Root, EveryFlippedBitAndEveryCutIsFound) {
  std::vector<std::byte> image(root_image_bytes(25));
  encode_root(3, 9, as_bytes("what the store is made of"), image);
  const std::size_t covered = 32 + 25;
  EXPECT_EQ(decode_root(3, image)->generation, 9u);
  EXPECT_EQ(decode_root(4, image).error().code, Errc::corrupt) << "another root's file";
  for (std::size_t bit = 0; bit < covered * 8; ++bit) {
    image.data()[bit / 8] ^= std::byte(1 << bit % 8);
    EXPECT_FALSE(decode_root(3, image)) << bit;
    image.data()[bit / 8] ^= std::byte(1 << bit % 8);
  }
  for (std::size_t size = 0; size < covered; ++size) {
    EXPECT_EQ(decode_root(3, Bytes(image).first(size)).error().code, Errc::corrupt) << size;
  }
}

TEST(DirectoryStore, FlippedBitInRootIsCorruptWithItsNumber) {
  Machine machine;
  ASSERT_TRUE(machine.run([]() -> Task<Result<>> {
    auto store = CO_TRY(co_await open_at(directory));
    CO_TRY(co_await store->write_root(2, as_bytes("payload")));
    co_return co_await store->close();
  }));
  ASSERT_EQ(machine.disk.flip_bit("/store/2.root", 33, 4), 0);
  ASSERT_TRUE(machine.run([]() -> Task<Result<>> {
    auto store = CO_TRY(co_await open_at(directory));
    const auto read = co_await store->read_root(2);
    EXPECT_EQ(read.error().code, Errc::corrupt);
    EXPECT_EQ(read.error().object, 2u);
    EXPECT_EQ((co_await store->write_root(2, as_bytes("other"))).error().code, Errc::corrupt);
    co_return co_await store->close();
  }));
}

// A table grows ahead of its writes and keeps nothing of that; where there is no room for so much, it grows
// with them.
TEST(DirectoryStore, ATableGrowsAheadOfItsWritesWhereThereIsRoom) {
  for (const std::uint64_t capacity : {std::uint64_t{1} << 30, std::uint64_t{4} << 20}) {
    Machine machine;
    machine.disk.set_capacity(capacity);
    const Result<> result = machine.run([]() -> Task<Result<>> {
      auto store = CO_TRY(co_await open_at(directory));
      const auto before = CO_TRY(store->space()).free_bytes;
      CO_TRY(co_await write_table(*store, 1, 600));
      EXPECT_FALSE(store->full());
      EXPECT_EQ(before - CO_TRY(store->space()).free_bytes, 600 * block_bytes);
      CO_TRY(co_await expect_table(*store, 1, 600, 1));
      co_return co_await store->close();
    });
    EXPECT_TRUE(result) << result.error().to_string();
  }
}

TEST(DirectoryStore, FullDiskLivesOnTheReserveAndRecovers) {
  Machine machine;
  machine.disk.set_capacity(6u << 20);
  const Result<> result = machine.run([]() -> Task<Result<>> {
    auto store = CO_TRY(co_await open_at(directory, {.reserve_bytes = 2u << 20}));
    CO_TRY(co_await write_table(*store, 1, 800));
    EXPECT_FALSE(store->full());
    EXPECT_EQ((co_await store->create_segment({0, 1}, 3u << 20)).error().code, Errc::no_space);
    EXPECT_TRUE(store->full());
    EXPECT_TRUE(CO_TRY(store->list()).segments.empty()) << "nothing is left of it";

    CO_TRY(co_await write_table(*store, 2, 400));  // into the reserve
    CO_TRY(co_await store->write_root(1, as_bytes("still works")));
    EXPECT_EQ((co_await write_table(*store, 3, 400)).error().code, Errc::no_space);
    CO_TRY(co_await store->remove_table(3));
    CO_TRY(co_await sleep_for(std::chrono::seconds(10)));
    EXPECT_TRUE(store->full());

    CO_TRY(co_await store->remove_table(1));
    CO_TRY(co_await store->remove_table(2));
    CO_TRY(co_await sleep_for(std::chrono::seconds(2)));
    EXPECT_FALSE(store->full());
    CO_TRY(co_await write_table(*store, 4, 200));
    co_return co_await store->close();
  });
  EXPECT_TRUE(result) << result.error().to_string();
}

// Each operation of a store, each changing step of it, cut before and after: roots are old or new, published
// tables are whole.
TEST(DirectoryStore, PowerCutAtEachStep) {
  std::map<std::string, std::uint64_t> cuts;
  std::uint64_t steps = 1;
  for (std::uint64_t step = 1; step <= steps; ++step) {
    for (const auto when : {sim::FileVerdict::Cut::before, sim::FileVerdict::Cut::after}) {
      Machine machine(step * 2 + static_cast<unsigned>(when));
      bool published = false;
      unsigned root = 0;
      const auto main = [&]() -> Task<Result<>> {
        auto store = CO_TRY(co_await open_at(directory));
        const auto work = [](Store& blobs, bool& done, unsigned& generation) -> Task<Result<>> {
          CO_TRY(co_await blobs.write_root(1, as_bytes("1")));
          generation = 1;
          CO_TRY(co_await write_table(blobs, 5, 8));
          CO_TRY(co_await blobs.clone_table(5, 6));
          done = true;
          (void)CO_TRY(co_await blobs.create_segment({0, 1}, 64u << 10));
          CO_TRY(co_await blobs.write_root(1, as_bytes("2")));
          generation = 2;
          CO_TRY(co_await blobs.remove_table(5));
          co_return co_await blobs.remove_segment({0, 1});
        };
        const Result<> worked = co_await work(*store, published, root);
        const Result<> closed = co_await store->close();
        CO_TRY(worked);
        co_return closed;
      };
      const Result<> first = machine.run(main, [&](sim::World& world) { world.faults().cut_at(step, when); });
      EXPECT_EQ(first.has_value(), machine.powered);
      if (machine.powered) steps = machine.changing_operations;
      if (step == 1 && !machine.powered) steps = 1000;
      for (const auto& [label, count] : machine.cuts) cuts[label] += count;
      const Result<> second = machine.run([&]() -> Task<Result<>> {
        auto store = CO_TRY(co_await open_at(directory));
        const auto payload = CO_TRY(co_await store->read_root(1));
        const unsigned found = payload ? static_cast<unsigned>(payload->at(0)) - '0' : 0;
        EXPECT_TRUE(found == root || found == root + 1) << found << " instead of " << root;
        if (published) CO_TRY(co_await expect_table(*store, 6, 8, 5));
        EXPECT_EQ(machine.disk.find("/store/1.root.new"), nullptr);
        co_return co_await store->close();
      });
      EXPECT_TRUE(second) << second.error().to_string() << " after a cut at step " << step;
    }
    if (step > steps) break;
  }
  for (const char* label : {"create 1.root.new", "sync 1.root.new", "rename 1.root", "create #.table",
                            "sync #.table", "link #.table", "unlink #.table", "create 0.#.log",
                            "allocate 0.#.log", "sync 0.#.log", "unlink 0.#.log", "allocate reserve"}) {
    EXPECT_TRUE(cuts.contains(label)) << label << " among " << ::testing::PrintToString(cuts);
  }
}

}  // namespace
}  // namespace ashlar::blob

/// The embedded database on a device that answers late.

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "ashlar/embed/test_db.h"
#include "ashlar/embed/test_device.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;

using SlowDeviceTest = DbTest;

// Of those who want one block, one reads it and the others wait for that; close() ends their wait.
TEST_F(SlowDeviceTest, WhoWaitsForAReadWhenItClosesIsToldSo) {
  std::filesystem::create_directories(path());
  const std::string device = make_device(path() + "/device", 96);
  DbOptions options;
  options.settings = {
      {"kv.memtable-bytes", "1MiB"}, {"kv.cache-bytes", "4MiB"}, {"log.segment-bytes", "1MiB"}};
  const auto open_on = [&](const std::string& spec) {
    std::string message;
    auto db = Db::open("blob(" + spec + ")", options, &message);
    if (!db) ADD_FAILURE() << message;
    return std::move(db).value();
  };
  {
    Db db = open_on(device);
    EXPECT_TRUE(db.put("k", "v"));
    EXPECT_TRUE(db.flush());
  }
  Db db = open_on("delay(" + device + ")?read=100ms");
  const std::vector<std::string_view> keys{"k"};
  std::atomic<int> under_way{0}, ended{0};
  const auto end = [&](const auto& read) {
    if (!read) EXPECT_EQ(read.error().code, Errc::closed) << read.error().to_string();
    ++ended;
  };
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&, i] {
      ++under_way;
      if (i % 2 == 0) {
        end(db.multi_get(keys));
      } else {
        end(db.get("k"));
      }
    });
  }
  while (under_way.load() != 4) std::this_thread::yield();
  std::this_thread::sleep_for(20ms);
  EXPECT_TRUE(db.close());
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(ended.load(), 4);
}

}  // namespace
}  // namespace ashlar

/// The embedded database where there is no space left: on a file system of its own (a small tmpfs, for which
/// the test must be root) and on a small formatted device.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "ashlar/embed/test_db.h"
#include "ashlar/embed/test_device.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;

constexpr int megabytes = 48;
constexpr std::size_t value_bytes = 100'000;

std::string key_of(int number) {
  return "key" + std::to_string(number);
}

class FullDiskTest : public DbTest {
 protected:
  static DbOptions options() {
    return {.settings = {{"kv.memtable-bytes", "1MiB"},
                         {"kv.cache-bytes", "4MiB"},
                         {"kv.level1-bytes", "4MiB"},
                         {"kv.table-bytes", "1MiB"},
                         {"log.segment-bytes", "2MiB"},
                         {"blob.reserve-bytes", "4MiB"}}};
  }

  /// What was erased gives its space back by itself.
  static void put_once_there_is_space(Db& db, const std::string& key) {
    for (int attempt = 0; attempt < 500; ++attempt) {
      const Result<> put = db.put(key, std::string(value_bytes, 'x'));
      if (put) return;
      ASSERT_EQ(put.error().code, Errc::no_space) << put.error().to_string();
      std::this_thread::sleep_for(20ms);
    }
    FAIL() << "no space came back for " << key;
  }

  /// Fills it up, goes on reading and erasing, and writes again.
  static void fill_and_free(const std::string& where) {
    int stored = 0;
    {
      std::string message;
      auto opened = Db::open(where, options(), &message);
      ASSERT_TRUE(opened) << message;
      Db db = *std::move(opened);
      Result<> put;
      for (; stored < megabytes * 20; ++stored) {
        put = db.put(key_of(stored), std::string(value_bytes, static_cast<char>('a' + stored % 26)));
        if (!put) break;
      }
      ASSERT_FALSE(put) << "it never was full";
      EXPECT_EQ(put.error().code, Errc::no_space) << put.error().to_string();
      EXPECT_THAT(put.error().to_string(), ::testing::HasSubstr("no space"));
      EXPECT_GT(stored, megabytes * 2);
      EXPECT_EQ(db.get(key_of(stored)).value(), std::nullopt);  // nothing was done

      for (int i = 0; i < stored; i += 7) {
        const auto value = db.get(key_of(i));
        ASSERT_TRUE(value) << value.error().to_string();
        ASSERT_TRUE(*value) << i;
        EXPECT_EQ(**value, std::string(value_bytes, static_cast<char>('a' + i % 26)));
      }
      for (int i = 0; i < stored; ++i) {
        if (i % 10 == 0) continue;
        const Result<> erased = db.erase(key_of(i));
        ASSERT_TRUE(erased) << erased.error().to_string();
      }
      put_once_there_is_space(db, "again");
      for (int i = 0; i < megabytes; ++i) put_once_there_is_space(db, "more" + std::to_string(i));
      EXPECT_TRUE(db.close());
    }
    std::string message;
    auto opened = Db::open(where, options(), &message);
    ASSERT_TRUE(opened) << message;
    for (int i = 0; i < stored; ++i) EXPECT_EQ(opened->get(key_of(i)).value().has_value(), i % 10 == 0) << i;
    EXPECT_TRUE(opened->get("again").value());
    EXPECT_TRUE(opened->get("more" + std::to_string(megabytes - 1)).value());
  }
};

TEST_F(FullDiskTest, ADirectory) {
  std::filesystem::create_directories(path());
  std::string skip;
  // The mount is in a namespace of this thread and of those that it starts: it goes with them.
  std::thread apart([&] {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("ashlar", path().c_str(), "tmpfs", 0, ("size=" + std::to_string(megabytes) + "m").c_str()) !=
            0) {
      skip = std::strerror(errno);
      return;
    }
    fill_and_free(path() + "/data");
    umount2(path().c_str(), MNT_DETACH);
  });
  apart.join();
  if (!skip.empty()) GTEST_SKIP() << "a file system of its own: " << skip;
}

TEST_F(FullDiskTest, ADevice) {
  std::filesystem::create_directories(path());
  fill_and_free("blob(" + make_device(path() + "/device", megabytes) + ")");
}

}  // namespace
}  // namespace ashlar

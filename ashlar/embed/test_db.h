#pragma once

/// A database in a directory of the test's own.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "ashlar/embed/ashlar.h"

namespace ashlar {

/// Small, so that flushes and compactions happen soon.
inline DbOptions small_options() {
  return {.settings = {{"kv.memtable-bytes", "64KiB"},
                       {"kv.cache-bytes", "4MiB"},
                       {"kv.level0-tables", "2"},
                       {"kv.level1-bytes", "1MiB"},
                       {"kv.table-bytes", "64KiB"},
                       {"blob.reserve-bytes", "0B"}}};
}

class DbTest : public ::testing::Test {
 protected:
  DbTest() {
    std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::ranges::replace(name, '/', '-');  // of a test with a parameter
    directory_ =
        std::filesystem::temp_directory_path() / ("ashlar-db-" + std::to_string(getpid()) + "-" + name);
    std::filesystem::remove_all(directory_);
  }
  ~DbTest() override { std::filesystem::remove_all(directory_); }

  std::string path() const { return directory_.string(); }
  Db open(const DbOptions& options = small_options()) const {
    std::string message;
    auto db = Db::open(path(), options, &message);
    if (!db) ADD_FAILURE() << message;
    return std::move(db).value();
  }

  Db open_again(Db db, const DbOptions& options = small_options()) const {
    EXPECT_TRUE(db.close());
    return open(options);
  }

  static std::vector<std::string> keys_of(Iterator& it, bool backward = false) {
    std::vector<std::string> keys;
    for (bool more = backward ? it.seek_last() : it.seek_first(); more;
         more = backward ? it.previous() : it.next())
      keys.emplace_back(it.key());
    EXPECT_TRUE(it.status());
    return keys;
  }

  std::filesystem::path directory_;
};

}  // namespace ashlar

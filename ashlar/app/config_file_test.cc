#include "ashlar/app/config_file.h"

#include <gtest/gtest.h>

#include "ashlar/base/units.h"

namespace ashlar::app {
namespace {

struct ConfigFile : testing::Test {
  std::uint64_t segment_bytes = 1_MiB;
  bool strict = true;
  std::string data = "dir:./data";
  OptionSet set;

  ConfigFile() {
    set.add("data", data, {.help = "Where"});
    set.add("log.segment-bytes", segment_bytes,
            {.unit = Unit::bytes, .min = 4_KiB, .max = 1_GiB, .help = "Segment"});
    set.add("log.strict", strict, {.help = "Strict"});
  }
  std::string error(std::string_view text) {
    const OptionResult result = read_config(text, "a.toml", set);
    return result ? "" : result.error();
  }
};

TEST_F(ConfigFile, SetsTablesAndTopLevel) {
  EXPECT_EQ(error("data = 'dir:/x'\n[log]\nsegment-bytes = '64KiB'\nstrict = false\n"), "");
  EXPECT_EQ(data, "dir:/x");
  EXPECT_EQ(segment_bytes, 64_KiB);
  EXPECT_FALSE(strict);
  EXPECT_EQ(error("log.segment-bytes = 8192"), "");
  EXPECT_EQ(segment_bytes, 8_KiB);
  EXPECT_EQ(error(""), "");
}

TEST_F(ConfigFile, ErrorsNameTheLine) {
  EXPECT_EQ(error("[log]\n\nsegment-bytes = 1\n"),
            "a.toml:3: log.segment-bytes: '1' is not a SIZE of 4KiB to 1GiB");
  EXPECT_EQ(error("[log]\nsegment-byte = 1\n"),
            "a.toml:2: unknown option 'log.segment-byte', did you mean 'log.segment-bytes'?");
  EXPECT_EQ(error("[log]\nstrict = [true]\n"), "a.toml:2: log.strict: not a string, whole number or boolean");
  EXPECT_EQ(error("[log.deeper]\nx = 1\n"), "a.toml:1: log.deeper: not a string, whole number or boolean");
  EXPECT_EQ(error("[log]\nsegment-bytes = -1\n"),
            "a.toml:2: log.segment-bytes: '-1' is not a SIZE of 4KiB to 1GiB");
  EXPECT_TRUE(error("\n[log\n").starts_with("a.toml:2: ")) << error("\n[log\n");
  EXPECT_EQ(read_config_file("/nonexistent/a.toml", set).error(), "/nonexistent/a.toml: cannot be read");
}

}  // namespace
}  // namespace ashlar::app

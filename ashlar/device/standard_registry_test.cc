#include "ashlar/device/standard_registry.h"

#include <gtest/gtest.h>

#include "ashlar/runtime/sync/test_shard.h"

namespace ashlar {
namespace {

struct Wrong {
  const char* spec;
  std::size_t at;
  const char* says;
};

Task<> expect_wrong(Wrong wrong) {
  auto device = co_await standard_registry().open(wrong.spec);
  if (device) {
    ADD_FAILURE() << wrong.spec << " opened";
    co_await (*device)->close();
    co_return;
  }
  EXPECT_EQ(device.error().at, wrong.at) << wrong.spec << ": " << device.error().message;
  EXPECT_NE(device.error().message.find(wrong.says), std::string::npos) << device.error().message;
}

TEST(StandardRegistry, ErrorsPointAtThePlace) {
  testing::TestShard shard;
  for (const Wrong& wrong : {
           Wrong{"rom:1GiB", 0, "no kind of device is called 'rom'; there are null, ram"},
           Wrong{"ram:lots", 4, "takes a size"},
           Wrong{"ram:1000", 4, "whole blocks of 512B"},
           Wrong{"ram:0", 4, "whole blocks"},
           Wrong{"ram:1MiB?blok=512", 9, "did you mean 'block'?"},
           Wrong{"ram:1MiB?block=1KiBB", 15, ""},
           Wrong{"ram:1MiB?block=1536", 0, "power of two"},
           Wrong{"pass:1MiB", 0, "is a layer"},
           Wrong{"ram(null:1MiB)", 0, "is a transport: ram:SIZE"},
           Wrong{"pass(ram:1MiB,ram:1MiB)", 0, "made of 1 device, not of 2"},
           Wrong{"pass(pass(ram:1MiB?x))", 19, "no option 'x'"},
       }) {
    shard.run(expect_wrong(wrong));
  }
}

// A default is taken when its option is declared: what a kind sets later would run, and not be documented.
TEST(StandardRegistry, WhatIsDeclaredAsTheDefaultIsWhatAPlainSpecRunsWith) {
  for (const DeviceKind& kind : standard_registry().kinds()) {
    OptionSet options;
    const auto bound_to = kind.describe(options);
    for (const Option& option : options)
      EXPECT_EQ(option.value(), option.default_value()) << kind.name << "?" << option.name();
  }
}

}  // namespace
}  // namespace ashlar

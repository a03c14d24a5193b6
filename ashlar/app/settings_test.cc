#include "ashlar/app/settings.h"

#include <gtest/gtest.h>

namespace ashlar::app {
namespace {

TEST(Settings, EveryOptionIsDocumented) {
  Settings settings;
  for (const Option& option : settings.set) {
    EXPECT_GE(option.help().size(), 8u) << option.name();
    EXPECT_FALSE(option.help().ends_with('.')) << option.name();
  }
}

TEST(Settings, EveryDrawnConfigurationIsOneThatTheUserCouldWrite) {
  Settings settings;
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    settings.set.draw(random);
    for (Option& option : settings.set) {
      if (option.secret()) continue;
      const OptionResult result = option.set(option.value());
      ASSERT_TRUE(result) << result.error();
    }
  }
}

TEST(Settings, DataNamesADirectory) {
  EXPECT_EQ(directory_of({.location = "dir:/var/lib/ashlar"}), "/var/lib/ashlar");
  EXPECT_EQ(directory_of({.location = "/var"}).error(), "data: '/var' is not dir:PATH");
  EXPECT_EQ(directory_of({.location = "dir:"}).error(), "data: 'dir:' is not dir:PATH");
}

}  // namespace
}  // namespace ashlar::app

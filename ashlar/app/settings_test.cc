#include "ashlar/app/settings.h"

#include <gtest/gtest.h>

#include "ashlar/app/data_home.h"

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

TEST(Settings, DataNamesADirectoryOrADevice) {
  EXPECT_EQ(location_of({.location = "dir:/var/lib/ashlar"})->directory, "/var/lib/ashlar");
  EXPECT_EQ(location_of({.location = "blob(raid1(uring:/a,uring:/b))"})->device, "raid1(uring:/a,uring:/b)");
  for (const char* wrong : {"/var", "dir:", "blob()", "blob(uring:/a", "uring:/a"}) {
    const auto location = location_of({.location = wrong});
    ASSERT_FALSE(location) << wrong;
    EXPECT_EQ(location.error(), "data: '" + std::string(wrong) + "' is neither dir:PATH nor blob(DEVICE)");
  }
}

}  // namespace
}  // namespace ashlar::app

#include "ashlar/runtime/ops/uring/probe.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace ashlar {
namespace {

TEST(ProbeUring, FindsNothingNewWithoutWhatIsOlder) {
  const auto features = probe_uring();
  if (!features) GTEST_SKIP() << features.error().to_string();
  std::map<std::string, bool> present;
  for (const UringFeature& feature : *features) present[feature.name] = feature.present;
  ASSERT_EQ(present.size(), features->size());
  EXPECT_TRUE(!present["DEFER_TASKRUN"] || present["SINGLE_ISSUER"]);
  EXPECT_TRUE(!present["SINGLE_ISSUER"] || present["COOP_TASKRUN"]);
  EXPECT_TRUE(!present["multishot receive"] || present["multishot accept"]);
  EXPECT_TRUE(!present["COOP_TASKRUN"] || present["SUBMIT_ALL"]);
  EXPECT_TRUE(!present["READV_FIXED, WRITEV_FIXED"] || present["fixed buffers"]);
  for (const char* always :
       {"FEAT_NODROP", "FEAT_EXT_ARG", "READ_FIXED, WRITE_FIXED", "FALLOCATE", "FADVISE", "IOPOLL"})
    EXPECT_TRUE(present[always]) << always << ": older than what set_up_ring() asks for";
}

}  // namespace
}  // namespace ashlar

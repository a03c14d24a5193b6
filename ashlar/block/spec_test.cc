#include "ashlar/block/spec.h"

#include <gtest/gtest.h>

namespace ashlar {
namespace {

Spec parsed(std::string_view text) {
  auto spec = parse_spec(text);
  EXPECT_TRUE(spec.has_value()) << spec.error().show(text);
  return spec.value_or(Spec{});
}

TEST(Spec, ATransportHasATargetAndOptions) {
  const Spec spec = parsed("uring:/dev/nvme0n1?qd=64&direct");
  EXPECT_EQ(spec.kind, "uring");
  EXPECT_FALSE(spec.layer);
  EXPECT_EQ(spec.target, "/dev/nvme0n1");
  ASSERT_EQ(spec.options.size(), 2u);
  EXPECT_EQ(spec.options[0].name, "qd");
  EXPECT_EQ(spec.options[0].value, "64");
  EXPECT_EQ(spec.options[1].name, "direct");
  EXPECT_EQ(spec.options[1].value, "true");
}

TEST(Spec, ALayerHasDevicesAndOptionsOfItsOwn) {
  const Spec spec = parsed("raid1( uring:/a?qd=1 , cache(ram:1GiB,auto:/b)?mode=back)?reads=spread");
  ASSERT_TRUE(spec.layer);
  ASSERT_EQ(spec.children.size(), 2u);
  EXPECT_EQ(spec.children[0].target, "/a");
  EXPECT_EQ(spec.children[0].options.at(0).value, "1");
  EXPECT_EQ(spec.children[1].children.at(1).target, "/b");
  EXPECT_EQ(spec.children[1].options.at(0).value, "back");
  EXPECT_EQ(spec.options.at(0).value, "spread");
  EXPECT_EQ(spec.children[1].text, "cache(ram:1GiB,auto:/b)?mode=back");
}

TEST(Spec, TargetsMayContainColonsAndSlashes) {
  EXPECT_EQ(parsed("vfio:0000:01:00.0/1").target, "0000:01:00.0/1");
  EXPECT_EQ(parsed("nvme-tcp://host:4420/nqn").target, "//host:4420/nqn");
  EXPECT_EQ(parsed("ram:1GiB").target, "1GiB");
}

TEST(Spec, ACommaEndsATargetOnlyInsideALayer) {
  EXPECT_EQ(parsed("uring:/a,b").target, "/a,b");
  EXPECT_EQ(parsed("pass(uring:/a)").children.at(0).target, "/a");
}

TEST(Spec, QuotesCarryAnything) {
  EXPECT_EQ(parsed(R"(pass(uring:"/a,b)?\"c\\"?qd=1))").children.at(0).target, R"(/a,b)?"c\)");
  for (const char* path : {"/plain", "/a,b", "/with \"quotes\"", "/back\\slash", "/what?", "/(x)"}) {
    EXPECT_EQ(parsed("pass(uring:" + quote_target(path) + ")").children.at(0).target, path);
  }
}

struct Wrong {
  const char* text;
  std::size_t at;
  const char* says;
};

TEST(Spec, ErrorsPointAtThePlace) {
  for (const Wrong& wrong : {
           Wrong{"", 0, "missing"},
           Wrong{"uring", 5, "followed by"},
           Wrong{"Uring:/a", 0, "begins with its kind"},
           Wrong{"u+ring:/a", 1, "'+'"},
           Wrong{"raid1(uring:/a", 14, "')'"},
           Wrong{"raid1()", 6, "begins with its kind"},
           Wrong{"raid1(uring:/a,)", 15, "begins with its kind"},
           Wrong{"raid1(uring:/a)x", 15, "nothing may follow"},
           Wrong{"ram:1GiB?", 9, "name of an option"},
           Wrong{"ram:1GiB?qd=1&qd=2", 14, "twice"},
           Wrong{"uring:\"/a", 6, "quote"},
       }) {
    const auto spec = parse_spec(wrong.text);
    ASSERT_FALSE(spec.has_value()) << wrong.text;
    EXPECT_EQ(spec.error().at, wrong.at) << wrong.text << ": " << spec.error().message;
    EXPECT_NE(spec.error().message.find(wrong.says), std::string::npos) << spec.error().message;
  }
}

TEST(Spec, AnErrorIsShownBelowItsPlace) {
  EXPECT_EQ((SpecError{"no such thing", 4}.show("ram:x")), "ram:x\n    ^ no such thing");
}

TEST(Spec, DepthAndWidthAreLimited) {
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "pass(";
  EXPECT_FALSE(parse_spec(deep + "ram:1").has_value());
  std::string wide = "raid1(ram:1";
  for (int i = 0; i < 100; ++i) wide += ",ram:1";
  EXPECT_FALSE(parse_spec(wide + ")").has_value());
  EXPECT_FALSE(parse_spec(std::string(100'000, 'a')).has_value());
  EXPECT_FALSE(parse_spec(std::string_view("ram:\0x", 6)).has_value());
}

}  // namespace
}  // namespace ashlar

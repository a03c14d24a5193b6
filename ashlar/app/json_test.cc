#include "ashlar/app/json.h"

#include <gtest/gtest.h>

namespace ashlar::app {
namespace {

TEST(Json, OnOneLineAndIndented) {
  Json json = {
      {"name", "a"}, {"whole", true}, {"bytes", std::uint64_t{5}}, {"none", Json()}, {"list", Json::array()}};
  EXPECT_EQ(json.line(), R"({"name":"a","whole":true,"bytes":5,"none":null,"list":[]})");
  json["list"].push_back({{"x", 1u}});
  json["name"] = "b";
  EXPECT_EQ(json.text(),
            "{\n  \"name\": \"b\",\n  \"whole\": true,\n  \"bytes\": 5,\n  \"none\": null,\n"
            "  \"list\": [\n    {\n      \"x\": 1\n    }\n  ]\n}\n");
}

TEST(Json, TextIsEscapedAndWhatIsNoTextReplaced) {
  EXPECT_EQ(Json("a\"\\\n\x01").line(), R"("a\"\\\n\u0001")");
  EXPECT_EQ(Json("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80").line(), "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"");
  // Alone, too long, a surrogate, cut off.
  for (const char* bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf0\x9f"}) {
    const std::string line = Json(bad).line();
    EXPECT_EQ(line.substr(0, 4), "\"\xef\xbf\xbd") << line;
  }
}

TEST(Json, ForPeople) {
  EXPECT_EQ(Json("a\"b").plain(), "a\"b");
  EXPECT_EQ(Json(std::vector<std::string>{"a", "b"}).plain(), R"(["a","b"])");
}

}  // namespace
}  // namespace ashlar::app

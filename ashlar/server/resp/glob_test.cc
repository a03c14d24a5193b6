#include "ashlar/server/resp/glob.h"

#include <gtest/gtest.h>

#include <string>

namespace ashlar::resp {
namespace {

TEST(Glob, MatchesAsRedisDoes) {
  struct Case {
    const char* pattern;
    const char* text;
    bool matches;
  };
  const Case cases[] = {
      {"*", "", true},
      {"*", "abc", true},
      {"", "", true},
      {"", "a", false},
      {"h?llo", "hello", true},
      {"h?llo", "hllo", false},
      {"h*llo", "heeeello", true},
      {"h[ae]llo", "hallo", true},
      {"h[ae]llo", "hillo", false},
      {"h[^e]llo", "hallo", true},
      {"h[^e]llo", "hello", false},
      {"h[a-c]llo", "hbllo", true},
      {"h[c-a]llo", "hbllo", true},
      {"h[a-c]llo", "hdllo", false},
      {"a\\*b", "a*b", true},
      {"a\\*b", "axb", false},
      {"[\\]]", "]", true},
      {"[abc", "b", true},
      {"[abc", "d", false},
      {"[", "[", false},
      {"a\\", "a\\", true},
      {"*a*b*c", "xxaxxbxxc", true},
      {"*a*b*c", "xxaxxbxx", false},
      {"a**", "a", true},
      {"[a-]", "-", false},
      {"[]a]", "a]", false},
      {"ABC", "abc", false},
      {"*?", "", false},
      {"*?", "a", true},
      {"**b", "aab", true},
  };
  for (const auto& c : cases)
    EXPECT_EQ(glob_match(c.pattern, c.text), c.matches) << c.pattern << " " << c.text;
}

TEST(Glob, IgnoresCaseWhenAsked) {
  EXPECT_TRUE(glob_match("MaxMem*", "maxmemory", GlobCase::ignored));
  EXPECT_TRUE(glob_match("[A-C]x", "bX", GlobCase::ignored));
  EXPECT_FALSE(glob_match("[^A-C]x", "bX", GlobCase::ignored));
}

TEST(Glob, ManyStarsDoNotBlowUp) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "*a";
  pattern += "b";
  EXPECT_FALSE(glob_match(pattern, std::string(20'000, 'a')));
  EXPECT_TRUE(glob_match(pattern, std::string(20'000, 'a') + "b"));
}

}  // namespace
}  // namespace ashlar::resp

/// Column families, merge operators and ranges of keys, by plain threads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "ashlar/embed/test_db.h"

namespace ashlar {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

std::string number(std::int64_t value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

class FamilyTest : public DbTest {
 protected:
  Db open_with(const std::string& merge_operator, std::vector<std::string> boundaries = {}) const {
    DbOptions options = small_options();
    options.merge_operator = merge_operator;
    options.boundaries = std::move(boundaries);
    return open(options);
  }
};

TEST_F(FamilyTest, FamiliesHaveKeysOfTheirOwnAndOneLog) {
  {
    Db db = open_with({}, {"m"});
    const Family users = db.create_family("users").value();
    const Family counts = db.create_family("counts", {.merge_operator = "add64"}).value();
    EXPECT_EQ(db.create_family("users").error().code, Errc::exists);
    EXPECT_EQ(db.create_family("").error().code, Errc::invalid);
    EXPECT_EQ(db.create_family("x", {.merge_operator = "no such"}).error().code, Errc::invalid);
    EXPECT_TRUE(db.put("k", "of none"));
    EXPECT_TRUE(db.put("k", "of users", {.family = users}));
    EXPECT_TRUE(db.merge("k", number(2), {.family = counts}));
    EXPECT_TRUE(db.merge("k", number(3), {.family = counts}));
    WriteBatch batch;
    batch.put("n", "batch", no_expiry, users);
    batch.merge("n", number(7), counts);
    batch.merge("k", number(1), counts);
    EXPECT_TRUE(db.write(batch));
    EXPECT_EQ(db.merge("k", "x", {.family = users}).error().code, Errc::unsupported);
  }
  Db db = open_with({}, {"m"});
  const Family users = db.family("users").value().value();
  const Family counts = db.family("counts").value().value();
  EXPECT_EQ(Family::of_number(counts.number()), counts);
  EXPECT_EQ(db.family("none").value(), std::nullopt);
  EXPECT_EQ(db.families().value().size(), 2u);
  for (const bool in_table : {false, true}) {
    if (in_table) EXPECT_TRUE(db.flush());
    EXPECT_EQ(db.get("k").value(), "of none");
    EXPECT_EQ(db.reader({.family = users}).get("k").value(), "of users");
    EXPECT_EQ(db.reader({.family = counts}).get("k").value(), number(6));
    EXPECT_EQ(db.reader({.family = counts}).get("n").value(), number(7));
    const std::vector<std::string_view> keys{"n", "k", "none"};
    EXPECT_THAT(db.multi_get(keys, {.family = users}).value(),
                ElementsAre("batch", "of users", std::nullopt));
    Iterator all = db.iterate({.read = {.family = users}}).value();
    EXPECT_THAT(keys_of(all), ElementsAre("k", "n"));
    EXPECT_THAT(keys_of(all, true), ElementsAre("n", "k"));
    Iterator none = db.iterate().value();
    EXPECT_THAT(keys_of(none), ElementsAre("k"));
  }
  EXPECT_TRUE(db.compare_and_swap("k", "of users", "swapped", {.family = users}).value());

  EXPECT_TRUE(db.drop_family("users"));
  EXPECT_EQ(db.drop_family("users").error().code, Errc::not_found);
  EXPECT_EQ(db.reader({.family = users}).get("k").value(), std::nullopt);
  EXPECT_EQ(db.put("k", "x", {.family = users}).error().code, Errc::not_found);
  EXPECT_EQ(db.get("k").value(), "of none");
}

TEST_F(FamilyTest, ANumberOfNoFamilyIsOfNone) {
  EXPECT_EQ(Family::of_number(0), Family());
  for (std::uint32_t number = 1; number <= 128; ++number)
    EXPECT_EQ(Family::of_number(number).number(), number);
  Db db = open_with("append");
  for (const std::uint32_t number : {1u, 128u, 129u, 130u, 131u, 256u, 257u, ~0u}) {
    const Family unknown = Family::of_number(number);
    EXPECT_NE(unknown, Family()) << number;
    EXPECT_EQ(db.put("k", "x", {.family = unknown}).error().code, Errc::not_found) << number;
    EXPECT_EQ(db.erase("k", {.family = unknown}).error().code, Errc::not_found) << number;
    EXPECT_EQ(Family::of_number(unknown.number()), unknown) << number;
    EXPECT_EQ(db.reader({.family = unknown}).get("k").value(), std::nullopt) << number;
  }
  EXPECT_EQ(db.get("k").value(), std::nullopt);
}

TEST_F(FamilyTest, WhatIsPutInAFamilyWithATtlExpires) {
  Db db = open_with({}, {"m"});
  const Family brief = db.create_family("brief", {.ttl = 1ms}).value();
  const Family lasting = db.create_family("lasting", {.ttl = 1h}).value();
  WriteBatch batch;  // across partitions, too
  for (const Family family : {brief, lasting}) {
    batch.put("a", "v", no_expiry, family);
    batch.put("z", "v", no_expiry, family);
  }
  EXPECT_TRUE(db.write(batch));
  EXPECT_TRUE(db.put("k", "v", {.family = brief}));
  std::this_thread::sleep_for(5ms);
  for (const char* key : {"a", "z", "k"})
    EXPECT_EQ(db.reader({.family = brief}).get(key).value(), std::nullopt);
  Iterator it = db.iterate({.read = {.family = lasting}}).value();
  EXPECT_TRUE(it.seek_first());
  EXPECT_NE(it.expiry_ms(), no_expiry);
  EXPECT_THAT(keys_of(it), ElementsAre("a", "z"));
}

/// The longest string wins, and of equal ones the later.
class Longest final : public MergeOperator {
 public:
  std::string_view name() const noexcept override { return "longest"; }
  Result<> merge(std::string_view key, std::optional<std::string_view> base,
                 std::span<const std::string_view> operands, std::string& result) const override {
    if (key == "refused") return fail(Errc::corrupt, "longest");
    result = base.value_or("");
    for (const std::string_view operand : operands) {
      if (operand.size() >= result.size()) result = operand;
    }
    return {};
  }
  bool combine(std::string_view, std::string_view older, std::string_view newer,
               std::string& result) const override {
    result = newer.size() >= older.size() ? newer : older;
    return true;
  }
};

TEST_F(FamilyTest, AProgramsOwnOperatorMergesWhereverTheValueIs) {
  DbOptions options = small_options();
  options.merge_operator = "longest";
  options.merge_operators = {std::make_shared<Longest>()};
  {
    Db db = open(options);
    EXPECT_TRUE(db.put("k", "ab"));
    for (const char* operand : {"a", "xyz", "uvw", "b"}) {
      EXPECT_TRUE(db.merge("k", operand));
      EXPECT_TRUE(db.flush());
    }
    EXPECT_EQ(db.get("k").value(), "uvw");
    EXPECT_TRUE(db.merge("refused", "x"));
    EXPECT_EQ(db.get("refused").error().code, Errc::corrupt);
    EXPECT_TRUE(db.erase("refused"));
    EXPECT_TRUE(db.compact());
    EXPECT_EQ(db.get("k").value(), "uvw");
  }
  std::string message;  // without it, the directory cannot be read
  EXPECT_EQ(Db::open(path(), small_options(), &message).error().code, Errc::unsupported);
  options.merge_operators.push_back(std::make_shared<Longest>());
  EXPECT_EQ(Db::open(path(), options, &message).error().code, Errc::exists);
  options.merge_operators.pop_back();
  EXPECT_EQ(open(options).get("k").value(), "uvw");
}

TEST_F(FamilyTest, MergesAreOneStepAcrossPartitionsToo) {
  {
    Db db = open_with("add64", {"m"});
    EXPECT_TRUE(db.put("a", number(10)));
    WriteBatch batch;
    for (int i = 0; i < 3; ++i) {
      batch.merge("a", number(1));
      batch.merge("z", number(2));
    }
    EXPECT_TRUE(db.write(batch));
    Transaction step = db.begin().value();
    EXPECT_TRUE(step.merge("a", number(100)));
    EXPECT_TRUE(step.merge("z", number(200)));
    EXPECT_TRUE(step.merge("z", number(1)));
    EXPECT_EQ(step.get("a").value(), number(113));
    Iterator own = step.iterate().value();
    EXPECT_TRUE(own.seek_last());
    EXPECT_EQ(own.value(), number(207));
    EXPECT_TRUE(step.commit());
  }
  Db db = open_with("add64", {"m"});  // from the logs
  EXPECT_EQ(db.get("a").value(), number(113));
  EXPECT_EQ(db.get("z").value(), number(207));
  EXPECT_TRUE(db.compact());
  EXPECT_EQ(db.get("z").value(), number(207));
}

TEST_F(FamilyTest, WhatHasExpiredIsNoBaseForAnOperand) {
  Db db = open_with("append", {"m"});
  const Family hour = db.create_family("hour", {.merge_operator = "append", .ttl = 1h}).value();
  WriteBatch batch;  // in one partition, then in two
  for (const char* key : {"a", "z"}) {
    for (const Family family : {Family(), hour}) {
      batch.put(key, "expired", 1000, family);
      batch.merge(key, "x", family);
    }
    EXPECT_TRUE(db.write(batch));
    for (const Family family : {Family(), hour})
      EXPECT_EQ(db.reader({.family = family}).get(key).value(), "x") << key;
  }
  Transaction step = db.begin().value();
  EXPECT_TRUE(step.put("t", "expired", 1000));
  EXPECT_TRUE(step.merge("t", "x"));
  EXPECT_EQ(step.get("t").value(), "x");
  Iterator own = step.iterate().value();
  EXPECT_TRUE(own.seek("t"));
  EXPECT_EQ(own.value(), "x");
  EXPECT_EQ(own.expiry_ms(), no_expiry);
  EXPECT_TRUE(step.commit());
  EXPECT_EQ(db.get("t").value(), "x");
}

TEST_F(FamilyTest, AnErasedRangeEndsWhereItSays) {
  Db db = open_with({}, {"f", "m"});
  const Family other = db.create_family("other").value();
  for (const char* key : {"a", "e", "f", "g", "m", "z"}) {
    EXPECT_TRUE(db.put(key, "v"));
    EXPECT_TRUE(db.put(key, "v", {.family = other}));
  }
  EXPECT_TRUE(db.erase_range("e", "m"));
  Iterator it = db.iterate().value();
  EXPECT_THAT(keys_of(it), ElementsAre("a", "m", "z"));
  EXPECT_TRUE(db.put("f", "again"));
  EXPECT_TRUE(db.erase_range("m", ""));
  it = db.iterate().value();
  EXPECT_THAT(keys_of(it), ElementsAre("a", "f"));
  EXPECT_EQ(db.erase_range("z", "a").error().code, Errc::invalid);
  EXPECT_TRUE(db.erase_range("", "", {.family = other}));
  Iterator of_other = db.iterate({.read = {.family = other}}).value();
  EXPECT_FALSE(of_other.seek_first());
  EXPECT_TRUE(of_other.status());
  EXPECT_EQ(db.get("f").value(), "again");
}

}  // namespace
}  // namespace ashlar

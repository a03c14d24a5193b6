/// The checkers find what they are for: each history here is one that a broken store would leave.

#include <gtest/gtest.h>

#include "tests/consistency/lists.h"
#include "tests/consistency/registers.h"

namespace ashlar::consistency {
namespace {

using End = ListTransaction::End;

RegisterHistory history(std::vector<RegisterOperation> operations) {
  RegisterHistory result;
  for (const RegisterOperation& operation : operations) result.add("key", operation);
  return result;
}

TEST(Registers, OverlappingOperationsMayTakeEffectInAnyOrder) {
  EXPECT_FALSE(
      history({{0, 10, true, 1}, {5, 15, true, 2}, {20, 30, false, 1}, {20, 30, false, 1}}).violation());
  EXPECT_FALSE(history({{0, 10, true, 1}, {5, 6, false, std::nullopt}, {7, 8, false, 1}}).violation());
}
TEST(Registers, AStaleReadIsFound) {
  EXPECT_TRUE(history({{0, 1, true, 1}, {2, 3, true, 2}, {4, 5, false, 1}}).violation());
}
TEST(Registers, AReadThatGoesBackIsFound) {
  EXPECT_TRUE(history({{0, 1, true, 1}, {2, 20, true, 2}, {3, 4, false, 2}, {5, 6, false, 1}}).violation());
}
TEST(Registers, ALostWriteIsFound) {
  EXPECT_TRUE(history({{0, 1, true, 1}, {2, 3, false, std::nullopt}}).violation());
}
TEST(Registers, AWriteThatWasCutShortMayBeThereOrNotButNotBoth) {
  const RegisterOperation cut{.invoked = 2, .returned = 10, .write = true, .value = 2, .certain = false};
  EXPECT_FALSE(history({{0, 1, true, 1}, cut, {20, 21, false, 1}}).violation());
  EXPECT_FALSE(history({{0, 1, true, 1}, cut, {20, 21, false, 2}}).violation());
  EXPECT_TRUE(history({{0, 1, true, 1}, cut, {20, 21, false, 1}, {22, 23, false, 2}}).violation());
}
TEST(Registers, ACompareAndSwapMeetsWhatItExpects) {
  const auto swap = [](std::uint64_t at, RegisterValue expected, bool found, std::uint64_t value) {
    return RegisterOperation{
        .invoked = at, .returned = at + 5, .write = found, .value = value, .expected = expected};
  };
  EXPECT_FALSE(
      history(
          {swap(0, std::nullopt, true, 1), swap(10, 1, true, 2), swap(20, 1, false, 3), {30, 31, false, 2}})
          .violation());
  EXPECT_TRUE(history({swap(0, std::nullopt, true, 1), swap(10, 1, false, 2)}).violation())
      << "refused, and yet it was as expected";
  EXPECT_TRUE(history({{0, 1, true, 1}, swap(2, 1, true, 2), swap(3, 1, true, 3)}).violation())
      << "two found the same";
}

ListTransaction transaction(std::uint64_t begun, std::uint64_t ended, std::map<std::string, List> reads,
                            std::map<std::string, std::uint64_t> appends, End end = End::committed) {
  return {
      .begun = begun, .ended = ended, .reads = std::move(reads), .appends = std::move(appends), .end = end};
}
std::optional<std::string> violation(std::vector<ListTransaction> transactions,
                                     const std::map<std::string, List>& lists,
                                     Level level = Level::snapshot_isolation) {
  ListHistory history;
  for (ListTransaction& one : transactions) history.add(std::move(one));
  return history.violation(lists, level);
}

TEST(Lists, WhatIsOneAfterTheOtherIsRight) {
  EXPECT_FALSE(violation({transaction(0, 1, {{"a", {}}}, {{"a", 1}, {"b", 2}}),
                          transaction(2, 3, {{"a", {1}}, {"b", {2}}}, {{"a", 3}})},
                         {{"a", {1, 3}}, {"b", {2}}}, Level::serializable));
}
TEST(Lists, HalfATransactionIsFound) {
  EXPECT_TRUE(violation({transaction(0, 9, {}, {{"a", 1}, {"b", 2}}, End::unknown)}, {{"a", {1}}}));
}
TEST(Lists, AHalfThatWasSeenAndWentAwayIsFound) {
  EXPECT_TRUE(
      violation({transaction(0, 9, {}, {{"a", 1}, {"b", 2}}), transaction(0, 9, {{"a", {1}}, {"b", {}}}, {})},
                {{"a", {1}}, {"b", {2}}}));
}
TEST(Lists, ALostCommitIsFound) {
  EXPECT_TRUE(violation({transaction(0, 1, {}, {{"a", 1}})}, {}));
}
TEST(Lists, AnAbortedReadIsFound) {
  EXPECT_TRUE(
      violation({transaction(0, 9, {}, {{"a", 1}}, End::aborted), transaction(0, 9, {{"a", {1}}}, {})}, {}));
}
TEST(Lists, ALostUpdateIsFound) {
  // Both read the list when it was empty, and both appended.
  EXPECT_TRUE(
      violation({transaction(0, 9, {{"a", {}}}, {{"a", 1}}), transaction(0, 9, {{"a", {}}}, {{"a", 2}})},
                {{"a", {1, 2}}}));
}
TEST(Lists, ALongForkIsFound) {
  // Two readers see two independent appends in opposite order.
  EXPECT_TRUE(violation(
      {transaction(0, 9, {}, {{"a", 1}}), transaction(0, 9, {}, {{"b", 2}}),
       transaction(0, 9, {{"a", {1}}, {"b", {}}}, {}), transaction(0, 9, {{"a", {}}, {"b", {2}}}, {})},
      {{"a", {1}}, {"b", {2}}}));
}
TEST(Lists, AWriteSkewIsAllowedBySnapshotsAndFoundWhereItIsNot) {
  const std::vector<ListTransaction> skew = {transaction(0, 9, {{"a", {}}, {"b", {}}}, {{"a", 1}}),
                                             transaction(0, 9, {{"a", {}}, {"b", {}}}, {{"b", 2}})};
  const std::map<std::string, List> lists = {{"a", {1}}, {"b", {2}}};
  EXPECT_FALSE(violation(skew, lists));
  EXPECT_TRUE(violation(skew, lists, Level::serializable));
}
TEST(Lists, ASnapshotThatMissesWhatWasCommittedBeforeIsFound) {
  EXPECT_TRUE(
      violation({transaction(0, 1, {}, {{"a", 1}}), transaction(2, 3, {{"a", {}}}, {})}, {{"a", {1}}}));
}

}  // namespace
}  // namespace ashlar::consistency

#include "ashlar/base/intrusive_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <list>

#include "ashlar/base/random.h"

namespace ashlar {
namespace {

struct ByAge;
struct Item : ListHook<>, ListHook<ByAge> {
  explicit Item(int n) : number(n) {}
  int number;
};
using List = IntrusiveList<Item>;

std::vector<int> numbers(List& list) {
  std::vector<int> result;
  for (const Item& item : list) result.push_back(item.number);
  return result;
}

TEST(IntrusiveList, KeepsOrderAtBothEnds) {
  Item a(1), b(2), c(3);
  List list;
  list.push_back(b);
  list.push_back(c);
  list.push_front(a);
  EXPECT_THAT(numbers(list), testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(list.front().number, 1);
  EXPECT_EQ(list.back().number, 3);
  EXPECT_EQ(list.pop_front(), &a);
  list.insert_before(c, a);
  EXPECT_THAT(numbers(list), testing::ElementsAre(2, 1, 3));
  list.clear();
  EXPECT_EQ(list.pop_front(), nullptr);
}

TEST(IntrusiveList, UnlinksWithoutKnowingTheList) {
  Item a(1), b(2);
  List list;
  list.push_back(a);
  list.push_back(b);
  a.ListHook<>::unlink();
  a.ListHook<>::unlink();  // on no list: nothing
  EXPECT_THAT(numbers(list), testing::ElementsAre(2));
  b.ListHook<>::unlink();
  EXPECT_TRUE(list.empty());
}

TEST(IntrusiveList, AnElementMayBeOnSeveralLists) {
  Item a(1), b(2);
  List list;
  IntrusiveList<Item, ByAge> by_age;
  list.push_back(a);
  list.push_back(b);
  by_age.push_back(b);
  by_age.push_back(a);
  list.erase(a);
  EXPECT_EQ(&by_age.back(), &a);
  list.clear();
  by_age.clear();
}

TEST(IntrusiveList, SplicesAll) {
  Item a(1), b(2), c(3);
  List list, other;
  list.splice_back(other);
  EXPECT_TRUE(list.empty());
  list.push_back(a);
  other.push_back(b);
  other.push_back(c);
  list.splice_back(other);
  EXPECT_THAT(numbers(list), testing::ElementsAre(1, 2, 3));
  EXPECT_TRUE(other.empty());
  list.clear();
}

TEST(IntrusiveList, AgreesWithStdListUnderRandomOperations) {
  Random random(3);
  std::deque<Item> items;
  for (int i = 0; i < 32; ++i) items.emplace_back(i);
  List list;
  std::list<int> model;
  for (int step = 0; step < 20'000; ++step) {
    Item& item = items[random.below(items.size())];
    if (item.ListHook<>::linked()) {
      item.ListHook<>::unlink();
      model.remove(item.number);
    } else if (random.one_in(2)) {
      list.push_back(item);
      model.push_back(item.number);
    } else {
      list.push_front(item);
      model.push_front(item.number);
    }
    ASSERT_EQ(numbers(list), std::vector<int>(model.begin(), model.end()));
  }
  list.clear();
}

}  // namespace
}  // namespace ashlar

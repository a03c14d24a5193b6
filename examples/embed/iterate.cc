/// Walks keys in both directions, within bounds, at one moment.

#include <ashlar/embed/ashlar.h>

#include <cstdio>

namespace {

void print(const char* what, ashlar::Iterator& it) {
  std::printf("%s:", what);
  for (bool more = it.seek_first(); more; more = it.next()) std::printf(" %s", std::string(it.key()).c_str());
  std::printf("%s\n", it.status() ? "" : it.status().error().to_string().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  auto opened = ashlar::Db::open(argc > 1 ? argv[1] : "./iterate");
  if (!opened) return 1;
  ashlar::Db db = *std::move(opened);
  for (const char* key : {"pear", "apple", "quince", "apricot", "plum"}) {
    if (!db.put(key, "fruit", {.durability = ashlar::Durability::none})) return 1;
  }
  if (!db.sync()) return 1;  // all of them at once

  auto all = db.iterate();
  auto some = db.iterate({.prefix = "ap"});
  auto range = db.iterate({.lower = "b", .upper = "q"});
  if (!all || !some || !range) return 1;
  if (!db.erase("apple")) return 1;  // they do not see it
  print("all", *all);
  print("ap…", *some);
  print("b to q", *range);

  std::printf("backwards from pz:");
  for (bool more = all->seek_backward("pz"); more; more = all->previous())
    std::printf(" %s", std::string(all->key()).c_str());
  std::printf("\n");
  return 0;
}

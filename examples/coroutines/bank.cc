/// A program whose own coroutines run on Ashlar's shards: no thread of it ever waits for the store, and what
/// a task finds in memory it finds without suspending.

#include <ashlar/embed/coroutines.h>

#include <cstdio>
#include <string>
#include <vector>

using namespace ashlar;

namespace {

constexpr int tellers = 8, transfers = 50, start = 1000;
const char* const accounts[] = {"anna", "ben", "olga", "zoe"};  // in both partitions
const char* const done_key = "~done";

std::string text_of(const std::optional<kv::OwnedValue>& value) {
  return value ? value->bytes : "0";
}

/// All or nothing, in both partitions; again, where another transfer was first.
Task<Result<>> transfer(Store& store, std::string from, std::string to) {
  const kv::StoredKey source = CO_TRY(store.stored(from)), target = CO_TRY(store.stored(to));
  for (;;) {
    kv::StoreTransaction step(store.engine());
    const auto has = CO_TRY(co_await step.get(source));
    const auto gets = CO_TRY(co_await step.get(target));
    CO_TRY(co_await step.put(source, as_bytes(std::to_string(std::stoi(text_of(has)) - 1))));
    CO_TRY(co_await step.put(target, as_bytes(std::to_string(std::stoi(text_of(gets)) + 1))));
    const auto committed = co_await step.commit();
    if (committed) co_return Result<>();
    if (committed.error().code != Errc::conflict) co_return std::unexpected(committed.error());
  }
}

Task<Result<>> teller(Store& store, int number) {
  for (int i = 0; i < transfers; ++i) {
    const char* const from = accounts[(number + i) % 4];
    const char* const to = accounts[(number + i + 1 + i % 3) % 4];
    CO_TRY(co_await transfer(store, from, to));
  }
  co_return co_await store.merge(done_key, std::to_string(number));  // appends, and reads nothing
}

/// On the shard where it is called.
Task<Result<>> hire(Store& store, int from) {
  std::vector<Task<Result<>>> working;
  for (int i = from; i < tellers; i += 2) working.push_back(teller(store, i));
  for (const Result<>& done : co_await when_all(std::move(working))) CO_TRY(done);
  co_return Result<>();
}

Task<Result<>> hire_elsewhere(Store& store, int from) {
  co_return co_await invoke(ShardId{1}, [&store, from] { return hire(store, from); });
}

Task<Result<>> work(Store& store) {
  for (const char* account : accounts) CO_TRY(co_await store.put(account, std::to_string(start)));
  const auto [here, there] = co_await when_all(hire(store, 0), hire_elsewhere(store, 1));
  CO_TRY(here);
  CO_TRY(there);
  std::printf("tellers done: %zu\n", CO_TRY(co_await store.get(done_key)).value_or("").size());

  kv::StoreTransaction moment(store.engine());  // one moment of both partitions
  const kv::StoredKey first = CO_TRY(store.stored("a")), end = CO_TRY(store.stored(done_key));
  const auto scan = CO_TRY(moment.scan({.first = first.bytes(), .last = end.bytes()}));
  int rows = 0, sum = 0;
  for (; CO_TRY(co_await scan->next()); ++rows) sum += std::stoi(scan->value().bytes);
  std::printf("%d accounts hold %d\n", rows, sum);
  co_return Result<>();
}

Task<Result<>> bank(std::string path) {
  std::string message;
  DbOptions options;
  options.boundaries = {"m"};
  options.merge_operator = "append";
  const auto store = co_await Store::open(path, options, &message);
  if (!store) {
    std::fprintf(stderr, "%s\n", message.c_str());
    co_return std::unexpected(store.error());
  }
  const Result<> done = co_await work(**store);
  const Result<> closed = co_await (*store)->close();
  CO_TRY(done);
  co_return closed;
}

Task<Result<>> serve_others() {
  co_return Result<>();  // a shard answers the others until the last main has ended
}

}  // namespace

int main(int argc, char** argv) {
  RuntimeOptions options;
  options.shards = 2;
  options.pin = false;
  Runtime runtime(options);
  const std::string path = argc > 1 ? argv[1] : "./bank";
  const Result<> done =
      runtime.run([&](Shard& shard) { return shard.id() == ShardId{0} ? bank(path) : serve_others(); });
  if (!done) std::fprintf(stderr, "%s\n", done.error().to_string().c_str());
  return done ? 0 : 1;
}

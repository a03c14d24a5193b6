/// A server for the tests with real clients: a new directory, a free port that is printed, until SIGTERM.

#include <fmt/core.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "ashlar/kv/lsm/store.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/server/resp/server.h"

namespace {

using namespace ashlar;

Runtime* running = nullptr;

Task<Result<>> serve(const std::string* directory, const resp::RespOptions* options, unsigned shards) {
  lsm::LsmOptions engine;
  const char* const given = std::getenv("ASHLAR_TEST_PARTITIONS");
  engine.partitions = given != nullptr ? static_cast<std::uint32_t>(std::atoi(given)) : shards * 2;
  const auto store = CO_TRY(co_await lsm::LsmStore::open(*directory, engine, shards));
  Result<> served;
  {
    resp::Server server(*store, *options, shards);
    served = co_await server.listen();
    if (served) {
      fmt::print("{}\n", server.port());
      std::fflush(stdout);
      served = co_await server.serve(running->stop_event());
    }
  }
  const Result<> closed = co_await store->close();
  co_return served ? closed : served;
}

}  // namespace

/// test_server DIRECTORY SHARDS [PASSWORD]; ASHLAR_TEST_PARTITIONS of a new directory, else two per shard.
int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string directory = argv[1];
  resp::RespOptions options;
  options.address = "127.0.0.1:0";
  if (argc > 3) options.password = argv[3];
  RuntimeOptions runtime_options;
  runtime_options.shards = static_cast<unsigned>(std::atoi(argv[2]));
  Runtime runtime(runtime_options);
  running = &runtime;
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGTERM, [](int) { running->request_stop(); });
  const Result<> result = runtime.run([&](Shard& shard) -> Task<Result<>> {
    if (shard.id().value != 0) return []() -> Task<Result<>> { co_return Result<>{}; }();
    return serve(&directory, &options, runtime_options.shards);
  });
  if (!result) fmt::print(stderr, "test_server: {}\n", result.error().to_string());
  return result ? 0 : 1;
}

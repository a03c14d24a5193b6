#include "ashlar/app/serve.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>

#include "ashlar/app/command_line.h"
#include "ashlar/app/version.h"
#include "ashlar/kv/lsm/store.h"
#include "ashlar/runtime/ops/address.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/server/resp/server.h"

// From start to end:
//  1. Signals: SIGTERM and SIGINT ask the runtime to stop; SIGPIPE and SIGXFSZ become errors of the write
//  they met.
//  2. The limit of open files goes up to what the system allows: each client is one.
//  3. Every shard starts; the first opens the store on all of them, and then the servers on top.
//  4. When asked to stop, servers drain, the store makes everything durable and closes, the shards end.

namespace ashlar::app {
namespace {

std::atomic<Runtime*> running{nullptr};

void on_stop_signal(int) {
  if (Runtime* const runtime = running.load(std::memory_order_acquire)) runtime->request_stop();
}

void handle_signals() {
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  for (const int number : {SIGPIPE, SIGXFSZ}) sigaction(number, &ignore, nullptr);
  struct sigaction stop{};
  stop.sa_handler = on_stop_signal;
  stop.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);  // the second signal has its default effect
  for (const int number : {SIGTERM, SIGINT}) sigaction(number, &stop, nullptr);
}

void raise_open_files_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE,
            &limit);  // where it is refused, the old limit stays, and accept says so when it is met
}

/// Outlives the shards. `subject` is what an error is about.
struct Context {
  const Settings& settings;
  const DataLocation& location;
  Runtime& runtime;
  std::string subject;
  bool said = false;  ///< the error was printed where it was found
};

Task<Result<>> serve(Context* context) {
  const Settings& settings = context->settings;
  const std::string& name = context->location.name();
  Runtime& runtime = context->runtime;
  const unsigned shards = lsm::serving_shards(settings.engine, runtime.shard_count());
  context->subject = name;
  auto home = co_await open_home(context->location, settings.engine);
  if (!home) {
    fmt::print(stderr, "ashlar: {}\n", home.error());
    context->said = true;
    co_return fail(Errc::not_found, "data");
  }
  const auto store = CO_TRY(co_await lsm::LsmStore::open(*std::move(home), settings.engine, shards));
  log::info("{}: {} partitions open on {} shards, {} set aside for compaction", name, store->partitions(),
            shards, runtime.shard_count() - shards);
  context->subject = settings.resp.address;
  resp::Server server(*store, settings.resp, shards);
  Result<> served = co_await server.listen();
  if (served) served = co_await server.serve(runtime.stop_event());
  if (served) context->subject = name;
  const Result<> closed = co_await store->close();
  if (closed) log::info("{}: closed", name);
  co_return served ? closed : served;
}

Task<Result<>> nothing() {
  co_return Result<>();
}

}  // namespace

int run_serve(const Settings& settings, const DataLocation& location) {
  if (const auto address = Address::parse(settings.resp.address); !address) {
    fmt::print(stderr, "ashlar: resp: '{}' is not ADDRESS:PORT\n", settings.resp.address);
    return exit_usage;
  }
  raise_open_files_limit();
  const std::string changes = settings.set.describe_changes();
  log::info("{} with {}", version_line(), changes.empty() ? "default options" : changes);
  Runtime runtime(settings.runtime);
  running.store(&runtime, std::memory_order_release);
  handle_signals();
  Context context{settings, location, runtime, ""};
  const Result<> result =
      runtime.run([&](Shard& shard) { return shard.id() == ShardId(0) ? serve(&context) : nothing(); });
  running.store(nullptr, std::memory_order_release);
  if (result) return 0;
  if (context.said) return 1;
  fmt::print(stderr, "ashlar: {}: {}{}\n", context.subject, result.error(),
             result.error().code == Errc::busy ? "; another process holds it" : "");
  return 1;
}

}  // namespace ashlar::app

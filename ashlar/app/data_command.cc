#include "ashlar/app/data_command.h"

#include <fmt/format.h>

#include <filesystem>

#include "ashlar/app/command_line.h"

namespace ashlar::app {
namespace {

constexpr const char* root_file = "0.root";  // docs/formats/blob-directory.md

const char* remedy(const Error& error) {
  switch (error.code) {
    case Errc::busy: return "; does a server hold it?";
    case Errc::corrupt:
      return "; `ashlar kv verify` says what is damaged, `ashlar kv repair` what can be saved";
    case Errc::no_space: return "; nothing was lost: make room and repeat it";
    default: return "";
  }
}

Task<Result<>> run_main(const std::function<Task<int>(unsigned)>* main, unsigned shards, int* status) {
  *status = co_await (*main)(shards);
  co_return Result<>{};
}

Task<Result<>> nothing() {
  co_return Result<>{};
}

}  // namespace

int say_failed(const std::string& subject, const std::string& why) {
  fmt::print(stderr, "ashlar: {}: {}\n", subject, why);
  return 1;
}

int say_failed(const std::string& subject, const Error& error) {
  return say_failed(subject, error.to_string() + remedy(error));
}

int run_command(RuntimeOptions options, unsigned shards, const std::function<Task<int>(unsigned)>& main) {
  options.shards = shards;
  options.pin = false;
  Runtime runtime(options);
  int status = 1;
  const Result<> result = runtime.run([&](Shard& shard) {
    return shard.id() == ShardId(0) ? run_main(&main, runtime.shard_count(), &status) : nothing();
  });
  return result ? status : say_failed("runtime", result.error());
}

Task<std::expected<NamedHome, int>> find_home(std::string text, const Settings* settings, Expect expect) {
  auto location = DataLocation::parse(text);
  if (!location) {
    fmt::print(stderr, "ashlar: {}\n", location.error());
    co_return std::unexpected(exit_usage);
  }
  std::error_code error;
  const std::string& directory = location->directory;
  if (expect == Expect::something && !location->on_device() &&
      !std::filesystem::is_regular_file(std::filesystem::path(directory) / root_file, error))
    co_return std::unexpected(
        say_failed(directory, fmt::format("nothing is stored there: it has no root record ({})", root_file)));
  NamedHome found{.name = location->name(), .home = nullptr};
  auto home = co_await open_home(*std::move(location), settings->engine);
  if (!home) {
    fmt::print(stderr, "ashlar: {}\n", home.error());
    co_return std::unexpected(1);
  }
  found.home = *std::move(home);
  co_return found;
}

Task<std::expected<NamedStore, int>> open_data(std::string text, const Settings* settings, Expect expect) {
  auto found = co_await find_home(std::move(text), settings, expect);
  if (!found) co_return std::unexpected(found.error());
  auto store = co_await lsm::LsmStore::open(std::move(found->home), settings->engine, 1);
  if (!store) co_return std::unexpected(say_failed(found->name, store.error()));
  co_return NamedStore{.name = std::move(found->name), .store = *std::move(store)};
}

Task<int> close_data(NamedStore opened, int status) {
  const Result<> closed = co_await opened.store->close();
  if (!closed && status != 1) co_return say_failed(opened.name, closed.error());
  co_return status;
}

}  // namespace ashlar::app

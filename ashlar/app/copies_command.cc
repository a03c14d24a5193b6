#include "ashlar/app/copies_command.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "ashlar/app/command_line.h"
#include "ashlar/app/copies_report.h"
#include "ashlar/app/data_command.h"
#include "ashlar/base/units.h"
#include "ashlar/kv/lsm/checkpoint.h"

namespace ashlar::app {
namespace {

/// What one command needs, which its coroutines refer to.
struct Context {
  const CopiesArguments& arguments;
  const Settings& settings;
};

/// Runs a command on one shard.
int run(const CopiesArguments& arguments, const Settings& settings, Task<int> (*command)(const Context*)) {
  const Context context{arguments, settings};
  return run_command(settings.runtime, 1, [&](unsigned) { return command(&context); });
}

Task<int> verify(const Context* context, unsigned shards) {
  auto data = co_await find_home(context->arguments.data, &context->settings, Expect::something);
  if (!data) co_return data.error();
  const auto report = co_await lsm::verify_data_set(*data->home, {.shards = shards});
  co_await data->home->close();
  if (!report) co_return say_failed(data->name, report.error());
  fmt::print("{}", context->arguments.json ? report_json(data->name, *report).text()
                                           : report_text(data->name, *report));
  co_return report->damages.empty() ? 0 : exit_damaged;
}

Task<int> repair(const Context* context) {
  const CopiesArguments& arguments = context->arguments;
  auto data = co_await find_home(arguments.data, &context->settings, Expect::something);
  if (!data) co_return data.error();
  const auto report =
      co_await lsm::repair_data_set(*data->home, context->settings.engine, {.force = arguments.force});
  co_await data->home->close();
  if (!report) co_return say_failed(data->name, report.error().to_string());
  fmt::print("{}",
             arguments.json ? report_json(data->name, *report).text() : report_text(data->name, *report));
  co_return lost_something(*report) ? exit_damaged : 0;
}

Task<int> checkpoint_of(const Context* context, lsm::LsmStore* store) {
  auto copy = co_await find_home(context->arguments.destination, &context->settings, Expect::anything);
  if (!copy) co_return copy.error();
  const auto report = co_await lsm::write_checkpoint(*store, *copy->home);
  if (!report && report.error().code == Errc::exists)
    co_return say_failed(copy->name, "something is there already; a checkpoint goes where nothing is");
  if (!report)
    co_return say_failed(copy->name, report.error().to_string() + "; what is there of it is to be removed");
  fmt::print("{}: {} tables, {}, {} of them shared with the data set\n", copy->name, report->tables,
             approximate_bytes(report->table_bytes), report->tables_shared);
  co_return 0;
}

Task<int> checkpoint(const Context* context) {
  auto data = co_await open_data(context->arguments.data, &context->settings);
  if (!data) co_return data.error();
  const int status = co_await checkpoint_of(context, data->store.get());
  co_return co_await close_data(*std::move(data), status);
}

using Repository = lsm::BackupRepository;
using RepositoryWork = Task<int> (*)(const Context* context, const std::string& name, Repository& repository,
                                     lsm::LsmStore* store);

/// Does `work` on the repository, which is closed afterwards.
Task<int> with_repository(const Context* context, Expect expect, RepositoryWork work, lsm::LsmStore* store) {
  auto found = co_await find_home(context->arguments.repository, &context->settings, expect);
  if (!found) co_return found.error();
  auto root = co_await found->home->open_root();
  if (!root) {
    co_await found->home->close();
    co_return say_failed(found->name, root.error());
  }
  auto repository = co_await Repository::open(*std::move(root));
  int status = 1;
  if (!repository) {
    (void)say_failed(found->name, repository.error().to_string());
  } else {
    status = co_await work(context, found->name, **repository, store);
    const Result<> closed = co_await (*repository)->close();
    if (!closed && status != 1) status = say_failed(found->name, closed.error());
  }
  co_await found->home->close();
  co_return status;
}

Task<int> add_generation(const Context* context, const std::string& name, Repository& repository,
                         lsm::LsmStore* store) {
  const CopiesArguments& arguments = context->arguments;
  const auto made = co_await repository.add(*store);
  if (!made) co_return say_failed(name, made.error().to_string());
  if (arguments.json) {
    fmt::print("{}", report_json({*made}, {}).text());
  } else {
    fmt::print("{}: backup {}: {} tables, {}; {} were added\n", name, made->number, made->tables,
               approximate_bytes(made->table_bytes), approximate_bytes(made->added_bytes));
  }
  if (arguments.keep == 0) co_return 0;
  const auto pruned = co_await repository.prune(arguments.keep);
  if (!pruned) co_return say_failed(name, pruned.error().to_string());
  if (!arguments.json && *pruned != 0) fmt::print("{}: {} older backups were removed\n", name, *pruned);
  co_return 0;
}

Task<int> backup(const Context* context) {
  auto data = co_await open_data(context->arguments.data, &context->settings);
  if (!data) co_return data.error();
  const int status = co_await with_repository(context, Expect::anything, &add_generation, data->store.get());
  co_return co_await close_data(*std::move(data), status);
}

Task<int> list(const Context* context, const std::string& name, Repository& repository, lsm::LsmStore*) {
  std::vector<Error> damages;
  if (context->arguments.check) {
    auto found = co_await repository.verify();
    if (!found) co_return say_failed(name, found.error().to_string());
    damages = *std::move(found);
  }
  fmt::print("{}", context->arguments.json ? report_json(repository.generations(), damages).text()
                                           : report_text(repository.generations(), damages));
  co_return damages.empty() ? 0 : exit_damaged;
}

Task<int> backups(const Context* context) {
  return with_repository(context, Expect::something, &list, nullptr);
}

std::optional<std::uint64_t> parse_id(const std::string& text) {
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

Task<int> restore_from(const Context* context, const std::string& name, Repository& repository,
                       lsm::LsmStore*) {
  const std::vector<std::string>& to = context->arguments.restore_to;
  if (repository.generations().empty()) co_return say_failed(name, "there is no backup in it");
  const std::uint64_t id = to.size() == 1 ? repository.generations().back().number : *parse_id(to.front());
  auto copy = co_await find_home(to.back(), &context->settings, Expect::anything);
  if (!copy) co_return copy.error();
  const Result<> restored = co_await repository.restore(id, *copy->home, context->settings.engine);
  if (restored) {
    fmt::print("{}: restored backup {} of {}\n", copy->name, id, name);
    co_return 0;
  }
  const Error& error = restored.error();
  if (error.code == Errc::not_found)
    co_return say_failed(name, fmt::format("there is no backup {}; `ashlar kv backups` lists them", id));
  if (error.code == Errc::exists)
    co_return say_failed(copy->name, error.to_string() + "; a backup is restored where nothing is");
  co_return say_failed(copy->name, error.to_string() + "; to go on, repeat the command");
}

Task<int> restore(const Context* context) {
  return with_repository(context, Expect::something, &restore_from, nullptr);
}

}  // namespace

int verify_data(const CopiesArguments& arguments, const Settings& settings) {
  const Context context{arguments, settings};
  return run_command(settings.runtime, settings.runtime.shards,
                     [&](unsigned shards) { return verify(&context, shards); });
}

int repair_data(const CopiesArguments& arguments, const Settings& settings) {
  return run(arguments, settings, &repair);
}

int make_checkpoint(const CopiesArguments& arguments, const Settings& settings) {
  return run(arguments, settings, &checkpoint);
}

int make_backup(const CopiesArguments& arguments, const Settings& settings) {
  return run(arguments, settings, &backup);
}

int list_backups(const CopiesArguments& arguments, const Settings& settings) {
  return run(arguments, settings, &backups);
}

int restore_backup(const CopiesArguments& arguments, const Settings& settings) {
  const std::vector<std::string>& to = arguments.restore_to;
  if (to.size() == 2 && !parse_id(to.front())) {
    fmt::print(stderr, "ashlar: '{}' is no number of a backup; `ashlar kv backups` lists them\n", to.front());
    return exit_usage;
  }
  return run(arguments, settings, &restore);
}

}  // namespace ashlar::app

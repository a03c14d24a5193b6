/// CONFIG: the options of this server, under the names that Redis has for them.

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ashlar/base/options.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/server/resp/glob.h"
#include "ashlar/server/resp/handlers.h"
#include "ashlar/server/resp/service.h"
#include "ashlar/server/resp/set_options.h"

namespace ashlar::resp {
namespace {

/// Our option behind a parameter of Redis, for those that may be changed.
struct Parameter {
  std::string_view name;    // Redis'
  std::string_view option;  // ours
};
constexpr Parameter parameters[] = {
    {"appendfsync", "resp-durability"},
    {"requirepass", "resp-password"},
    {"protected-mode", "resp-protected-mode"},
    {"maxclients", "resp-clients-max"},
    {"proto-max-bulk-len", "resp-bulk-bytes-max"},
    {"client-query-buffer-limit", "resp-request-bytes-max"},
    {"maxmemory-clients", "resp-buffer-bytes-max"},
    {"timeout", "resp-idle-timeout"},
};

std::string_view yes_or_no(bool value) noexcept {
  return value ? "yes" : "no";
}

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

std::string_view sync_name(kv::Durability durability) noexcept {
  switch (durability) {
    case kv::Durability::durable: return "always";
    case kv::Durability::periodic: return "everysec";
    case kv::Durability::none: break;
  }
  return "no";
}

/// All parameters and their values.
std::vector<std::pair<std::string_view, std::string>> all_parameters(Service& service) {
  const RespOptions& options = service.options();
  const std::string_view address = options.address;
  return {
      {"appendfsync", std::string(sync_name(service.durability()))},
      {"appendonly", "yes"},
      {"bind", std::string(address.substr(0, address.rfind(':')))},
      {"client-query-buffer-limit", std::to_string(options.request_bytes_max)},
      {"databases", "1"},
      {"maxclients", std::to_string(options.clients_max)},
      {"maxmemory", std::to_string(Shard::current().memory().cap().cap_bytes())},
      {"maxmemory-clients", std::to_string(options.shard_buffer_bytes_max)},
      {"maxmemory-policy", "noeviction"},
      {"port", std::to_string(service.cluster().port)},
      {"proto-max-bulk-len", std::to_string(options.bulk_bytes_max)},
      {"protected-mode", std::string(yes_or_no(options.protected_mode))},
      {"requirepass", options.password},
      {"save", ""},
      {"timeout", std::to_string(options.idle_timeout.count())},
  };
}

void get_parameters(ServerCall& call) {
  std::vector<std::pair<std::string_view, std::string>> found;
  for (auto& parameter : all_parameters(call.service)) {
    const bool wanted = std::ranges::any_of(call.arguments.subspan(2), [&](std::string_view pattern) {
      return glob_match(pattern, parameter.first, GlobCase::ignored);
    });
    if (wanted) found.push_back(std::move(parameter));
  }
  ReplyWriter reply = call.reply();
  reply.map(found.size());
  for (const auto& [name, value] : found) {
    reply.bulk(name);
    reply.bulk(value);
  }
}

/// The value in the form our options take: "yes" is true, and a bare number of seconds gets its unit.
std::string translate(std::string_view parameter, std::string_view value) {
  if (parameter == "protected-mode") return is_keyword(value, "yes") ? "true" : "false";
  if (parameter == "timeout") return std::string(value) + "s";
  return std::string(value);
}

/// Changes settings. An empty string, or what is wrong; "?": there is no such parameter.
std::string apply(Settings& settings, std::string_view name, std::string_view value) {
  if (is_keyword(name, "save") && value.empty()) return {};
  const auto at =
      std::ranges::find_if(parameters, [&](const auto& known) { return is_keyword(name, known.name); });
  if (at == std::end(parameters)) return "?";
  if (at->name == "protected-mode" && !is_keyword(value, "yes") && !is_keyword(value, "no")) {
    return "argument must be 'yes' or 'no'";
  }
  std::string translated = translate(at->name, value);
  if (at->name == "appendfsync") {
    std::ranges::transform(translated, translated.begin(), lower);
  }
  OptionSet set;
  describe(set, settings.options);
  const OptionResult result = set.set(at->option, translated);
  if (result) return {};
  if (at->name == "appendfsync") return "argument(s) must be one of the following: everysec, always, no";
  return result.error();
}

/// All of them, or none and the error as the reply.
std::string apply_all(Settings& settings, std::span<const std::string_view> pairs) {
  for (std::size_t i = 0; i < pairs.size(); i += 2) {
    const std::string name(pairs[i].substr(0, 128));
    std::string problem = apply(settings, pairs[i], pairs[i + 1]);
    const auto same = [&](std::size_t other) {
      return std::ranges::equal(pairs[other], pairs[i], {}, lower, lower);
    };
    for (std::size_t before = 0; before < i && problem.empty(); before += 2) {
      if (same(before)) problem = "duplicate parameter";
    }
    if (problem == "?") {
      return fmt::format("ERR Unknown option or number of arguments for CONFIG SET - '{}'", name);
    }
    if (!problem.empty()) {
      return fmt::format("ERR CONFIG SET failed (possibly related to argument '{}') - {}", name, problem);
    }
  }
  return {};
}

/// On shard 0, one at a time, so that all shards see all changes in one order. Each shard changes what is
/// named and nothing else.
Task<std::string> set_everywhere(Service& service, std::span<const std::string_view> pairs) {
  const MutexLock lock = co_await service.changing_settings.lock();
  Settings changed = service.settings();
  std::string problem = apply_all(changed, pairs);
  for (unsigned shard = 0; shard < service.shards() && problem.empty(); ++shard) {
    Service& there = service.at(ShardId(shard));
    co_await invoke(ShardId(shard), [&] { (void)apply_all(there.settings(), pairs); });
  }
  co_return problem;
}

Task<> set_parameters(ServerCall& call) {
  if (call.arguments.size() % 2 != 0) {
    call.fail(syntax_error);
    co_return;
  }
  Service& first = call.service.at(ShardId(0));
  const auto pairs = call.arguments.subspan(2);
  const std::string problem = co_await invoke(ShardId(0), [&] { return set_everywhere(first, pairs); });
  problem.empty() ? call.reply().ok() : call.fail(problem);
}

Task<> reset_statistics(ServerCall& call) {
  for (unsigned shard = 0; shard < call.service.shards(); ++shard) {
    Service& there = call.service.at(ShardId(shard));
    co_await invoke(ShardId(shard), [&] { there.stats() = {}; });
  }
  call.reply().ok();
}

constexpr std::string_view help[] = {
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>, until the server ends.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "HELP",
    "    Prints this help.",
};

}  // namespace

Task<> config_command(ServerCall& call) {
  const std::string_view word = call.argument(1);
  if (is_keyword(word, "get")) {
    get_parameters(call);
  } else if (is_keyword(word, "set")) {
    co_await set_parameters(call);
  } else if (is_keyword(word, "resetstat")) {
    co_await reset_statistics(call);
  } else if (is_keyword(word, "rewrite")) {
    call.fail("ERR The server is running without a config file");
  } else {
    call.reply().array(std::size(help));
    for (const auto line : help) call.reply().simple(line);
  }
}

}  // namespace ashlar::resp

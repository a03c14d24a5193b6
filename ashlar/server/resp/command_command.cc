/// COMMAND: what clients ask when they connect, answered from the command table.

#include <algorithm>

#include "ashlar/server/resp/glob.h"
#include "ashlar/server/resp/handlers.h"
#include "ashlar/server/resp/service.h"
#include "ashlar/server/resp/set_options.h"

namespace ashlar::resp {
namespace {

struct FlagName {
  std::uint32_t flag;
  std::string_view name;
};
constexpr FlagName flag_names[] = {
    {CommandFlag::write, "write"},       {CommandFlag::readonly, "readonly"},
    {CommandFlag::denyoom, "denyoom"},   {CommandFlag::admin, "admin"},
    {CommandFlag::noscript, "noscript"}, {CommandFlag::loading, "loading"},
    {CommandFlag::stale, "stale"},       {CommandFlag::fast, "fast"},
    {CommandFlag::no_auth, "no_auth"},   {CommandFlag::allow_busy, "allow_busy"},
    {CommandFlag::no_multi, "no_multi"},
};
constexpr std::string_view group_names[] = {"generic", "string", "connection", "server", "transactions"};

std::string_view group_name(const CommandSpec& spec) noexcept {
  return group_names[static_cast<std::size_t>(spec.group)];
}

std::vector<std::string_view> categories(const CommandSpec& spec) {
  std::vector<std::string_view> names;
  if (spec.group == CommandGroup::generic) names.push_back("@keyspace");
  if ((spec.flags & CommandFlag::write) != 0) names.push_back("@write");
  if ((spec.flags & CommandFlag::readonly) != 0) names.push_back("@read");
  if (spec.group == CommandGroup::string) names.push_back("@string");
  if (spec.group == CommandGroup::connection) names.push_back("@connection");
  if (spec.group == CommandGroup::transactions) names.push_back("@transaction");
  names.push_back((spec.flags & CommandFlag::fast) != 0 ? "@fast" : "@slow");
  if ((spec.flags & CommandFlag::dangerous) != 0) names.push_back("@dangerous");
  return names;
}

/// What a command does to its keys.
void reply_key_flags(ReplyWriter& reply, const CommandSpec& spec) {
  const bool writes = (spec.flags & CommandFlag::write) != 0;
  reply.set(2);
  reply.simple(writes ? "RW" : "RO");
  reply.simple(writes ? "update" : "access");
}

/// The one key specification there is: a range that begins at a fixed argument.
void reply_key_specs(ReplyWriter& reply, const CommandSpec& spec) {
  if (spec.first_key == 0) return reply.set(0);
  reply.set(1);
  reply.map(3);
  reply.bulk("flags");
  reply_key_flags(reply, spec);
  reply.bulk("begin_search");
  reply.map(2);
  reply.bulk("type");
  reply.bulk("index");
  reply.bulk("spec");
  reply.map(1);
  reply.bulk("index");
  reply.integer(spec.first_key);
  reply.bulk("find_keys");
  reply.map(2);
  reply.bulk("type");
  reply.bulk("range");
  reply.bulk("spec");
  reply.map(3);
  reply.bulk("lastkey");
  reply.integer(spec.last_key < 0 ? spec.last_key : spec.last_key - spec.first_key);
  reply.bulk("keystep");
  reply.integer(spec.key_step);
  reply.bulk("limit");
  reply.integer(0);
}

void reply_info(ReplyWriter& reply, const CommandSpec* spec) {
  if (spec == nullptr) return reply.null();
  reply.array(10);
  reply.bulk(spec->name);
  reply.integer(spec->arity);
  const auto shown = [&](const FlagName& flag) { return (spec->flags & flag.flag) != 0; };
  reply.set(static_cast<std::size_t>(std::ranges::count_if(flag_names, shown)));
  for (const auto& flag : flag_names) {
    if (shown(flag)) reply.simple(flag.name);
  }
  reply.integer(spec->first_key);
  reply.integer(spec->last_key);
  reply.integer(spec->key_step);
  const auto names = categories(*spec);
  reply.set(names.size());
  for (const auto name : names) reply.simple(name);
  reply.set(0);  // tips
  reply_key_specs(reply, *spec);
  reply.array(0);  // subcommands
}

void reply_docs(ReplyWriter& reply, const CommandSpec& spec) {
  reply.bulk(spec.name);
  reply.map(4);
  reply.bulk("summary");
  reply.bulk(spec.summary);
  reply.bulk("since");
  reply.bulk(spec.since);
  reply.bulk("group");
  reply.bulk(group_name(spec));
  reply.bulk("complexity");
  reply.bulk(spec.complexity);
}

void command_docs(SessionCall& call) {
  std::vector<const CommandSpec*> found;
  if (call.arguments.size() == 2) {
    for (const CommandSpec& spec : all_commands()) found.push_back(&spec);
  }
  for (const std::string_view name : call.arguments.subspan(2)) {
    if (const CommandSpec* spec = find_command(name)) found.push_back(spec);
  }
  call.reply.map(found.size());
  for (const CommandSpec* spec : found) reply_docs(call.reply, *spec);
}

void command_info(SessionCall& call) {
  const auto wanted = call.arguments.subspan(std::min<std::size_t>(2, call.arguments.size()));
  if (wanted.empty()) {
    call.reply.array(all_commands().size());
    for (const CommandSpec& spec : all_commands()) reply_info(call.reply, &spec);
    return;
  }
  call.reply.array(wanted.size());
  for (const std::string_view name : wanted) reply_info(call.reply, find_command(name));
}

void command_list(SessionCall& call) {
  std::string_view pattern = "*";
  bool by_category = false;
  if (call.arguments.size() == 5 && is_keyword(call.argument(2), "filterby") &&
      is_keyword(call.argument(3), "module")) {
    return call.reply.array(0);  // there are no modules
  }
  if (call.arguments.size() == 5 && is_keyword(call.argument(2), "filterby") &&
      (is_keyword(call.argument(3), "pattern") || is_keyword(call.argument(3), "aclcat"))) {
    by_category = is_keyword(call.argument(3), "aclcat");
    pattern = call.argument(4);
  } else if (call.arguments.size() != 2) {
    return call.fail(syntax_error);
  }
  std::vector<std::string_view> found;
  for (const CommandSpec& spec : all_commands()) {
    const auto names = categories(spec);
    const bool wanted =
        by_category
            ? std::ranges::any_of(names, [&](auto name) { return is_keyword(pattern, name.substr(1)); })
            : glob_match(pattern, spec.name, GlobCase::ignored);
    if (wanted) found.push_back(spec.name);
  }
  if (call.arguments.size() == 2) {
    call.reply.set(found.size());
  } else {
    call.reply.array(found.size());
  }
  for (const auto name : found) call.reply.bulk(name);
}

/// GETKEYS, and GETKEYSANDFLAGS with what the command does to each.
void command_getkeys(SessionCall& call, bool with_flags) {
  const auto request = call.arguments.subspan(2);
  const CommandSpec* spec = find_command(request[0]);
  if (spec == nullptr) return call.fail("ERR Invalid command specified");
  if (spec->first_key == 0) return call.fail("ERR The command has no key arguments");
  if (!arity_fits(*spec, request.size())) {
    return call.fail("ERR Invalid number of arguments specified for command");
  }
  const std::size_t count = key_count(*spec, request.size());
  call.reply.array(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (with_flags) call.reply.array(2);
    call.reply.bulk(request[key_index(*spec, i)]);
    if (!with_flags) continue;
    reply_key_flags(call.reply, *spec);
  }
}

constexpr std::string_view help[] = {
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all commands.",
    "COUNT",
    "    Return the total number of commands in this server.",
    "LIST [FILTERBY PATTERN <pattern> | ACLCAT <category> | MODULE <name>]",
    "    Return a list of all commands in this server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple commands.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple commands.",
    "GETKEYS <full-command>",
    "    Return the keys from a full command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full command.",
    "HELP",
    "    Prints this help.",
};

}  // namespace

void command_command(SessionCall& call) {
  if (call.arguments.size() == 1) return command_info(call);
  const std::string_view word = call.argument(1);
  if (is_keyword(word, "count")) {
    call.reply.integer(static_cast<std::int64_t>(all_commands().size()));
  } else if (is_keyword(word, "info")) {
    command_info(call);
  } else if (is_keyword(word, "docs")) {
    command_docs(call);
  } else if (is_keyword(word, "list")) {
    command_list(call);
  } else if (is_keyword(word, "help")) {
    call.reply.array(std::size(help));
    for (const auto line : help) call.reply.simple(line);
  } else {
    command_getkeys(call, is_keyword(word, "getkeysandflags"));
  }
}

}  // namespace ashlar::resp

/// CLIENT: what is known about connections, and what they may set.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/server/resp/handlers.h"
#include "ashlar/server/resp/number.h"
#include "ashlar/server/resp/service.h"
#include "ashlar/server/resp/session_commands.h"
#include "ashlar/server/resp/set_options.h"

namespace ashlar::resp {
namespace {

constexpr std::int64_t pause_ms_max = std::int64_t{1} << 40;  // 34 years

std::int64_t seconds_since(Instant then) {
  return std::chrono::duration_cast<std::chrono::seconds>(Shard::current().now() - then).count();
}

/// One line of CLIENT LIST, with the fields of Redis' that mean something here, and the shard.
std::string describe(const Session& session, ShardId shard) {
  std::string flags;
  if (session.in_multi) flags += 'x';
  if (session.no_evict) flags += 'e';
  if (flags.empty()) flags = "N";
  return fmt::format(
      "id={} addr={} laddr={} name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 multi={} qbuf={} "
      "cmd={} "
      "user=default resp={} lib-name={} lib-ver={} shard={}\n",
      session.id, session.peer, session.local, session.name, seconds_since(session.connected_at),
      seconds_since(session.active_at), flags,
      session.in_multi ? static_cast<std::int64_t>(session.queued.size()) : -1, session.request_bytes,
      session.last_command != nullptr ? session.last_command->name : "NULL",
      static_cast<int>(session.protocol), session.library_name, session.library_version, shard.value);
}

/// Which connections LIST and KILL mean. All that is set must fit.
struct Filter {
  std::vector<std::uint64_t> ids;
  std::string_view peer, local;
  bool any_type = true;  // false: a type that no connection has here
  bool any_user = true;
  std::optional<std::uint64_t> except;

  bool fits(const Session& session) const {
    return any_type && any_user && (ids.empty() || std::ranges::find(ids, session.id) != ids.end()) &&
           (peer.empty() || peer == session.peer) && (local.empty() || local == session.local) &&
           except != session.id;
  }
};

bool parse_type(ServerCall& call, std::string_view word, Filter& filter) {
  filter.any_type = is_keyword(word, "normal");
  const bool known = filter.any_type || is_keyword(word, "master") || is_keyword(word, "replica") ||
                     is_keyword(word, "slave") || is_keyword(word, "pubsub");
  if (!known) call.fail("ERR Unknown client type '" + std::string(word) + "'");
  return known;
}

std::string list_here(Service& service, const Filter& filter) {
  std::string lines;
  for (const Session& session : service.sessions()) {
    if (filter.fits(session)) lines += describe(session, service.shard());
  }
  return lines;
}

/// Ends the connections that fit, but for `caller`, which ends after its reply. Returns how many.
std::int64_t kill_here(Service& service, const Filter& filter, std::uint64_t caller) {
  std::int64_t killed = 0;
  for (Session& session : service.sessions()) {
    if (!filter.fits(session)) continue;
    ++killed;
    session.close_after_reply = true;
    if (session.id != caller && session.kill != nullptr) session.kill->cancel();
  }
  return killed;
}

Task<> list_clients(ServerCall& call) {
  Filter filter;
  if (call.arguments.size() == 4 && is_keyword(call.argument(2), "type")) {
    if (!parse_type(call, call.argument(3), filter)) co_return;
  } else if (call.arguments.size() > 3 && is_keyword(call.argument(2), "id")) {
    for (const std::string_view word : call.arguments.subspan(3)) {
      const auto id = parse_integer(word);
      if (!id) {
        call.fail("ERR Invalid client ID");
        co_return;
      }
      filter.ids.push_back(static_cast<std::uint64_t>(*id));
    }
  } else if (call.arguments.size() != 2) {
    call.fail(syntax_error);
    co_return;
  }
  std::string lines;
  for (unsigned shard = 0; shard < call.service.shards(); ++shard) {
    Service& there = call.service.at(ShardId(shard));
    lines += co_await invoke(ShardId(shard), [&] { return list_here(there, filter); });
  }
  call.reply().verbatim(lines);
}

bool parse_kill(ServerCall& call, Filter& filter) {
  filter.except = call.session.id;
  for (std::size_t i = 2; i < call.arguments.size(); i += 2) {
    if (i + 1 == call.arguments.size()) return call.fail(syntax_error), false;
    const std::string_view word = call.argument(i), value = call.argument(i + 1);
    if (is_keyword(word, "id")) {
      const auto id = parse_integer(value);
      if (!id || *id < 1) return call.fail("ERR client-id should be greater than 0"), false;
      filter.ids = {static_cast<std::uint64_t>(*id)};
    } else if (is_keyword(word, "addr")) {
      filter.peer = value;
    } else if (is_keyword(word, "laddr")) {
      filter.local = value;
    } else if (is_keyword(word, "type")) {
      if (!parse_type(call, value, filter)) return false;
    } else if (is_keyword(word, "user")) {
      if (value != "default") {
        return call.fail("ERR No such user '" + std::string(value) + "'"), false;
      }
    } else if (is_keyword(word, "skipme") && (is_keyword(value, "yes") || is_keyword(value, "no"))) {
      filter.except = is_keyword(value, "yes") ? std::optional(call.session.id) : std::nullopt;
    } else {
      return call.fail(syntax_error), false;
    }
  }
  return true;
}

Task<> kill_clients(ServerCall& call) {
  Filter filter;
  const bool by_address = call.arguments.size() == 3;
  if (by_address) {
    filter.peer = call.argument(2);
  } else if (!parse_kill(call, filter)) {
    co_return;
  }
  std::int64_t killed = 0;
  for (unsigned shard = 0; shard < call.service.shards(); ++shard) {
    Service& there = call.service.at(ShardId(shard));
    killed += co_await invoke(ShardId(shard), [&] { return kill_here(there, filter, call.session.id); });
  }
  if (!by_address) {
    call.reply().integer(killed);
  } else if (killed == 0) {
    call.fail("ERR No such client");
  } else {
    call.reply().ok();
  }
}

void set_info(ServerCall& call) {
  const std::string_view word = call.argument(2), value = call.argument(3);
  const bool is_name = is_keyword(word, "lib-name");
  if (!is_name && !is_keyword(word, "lib-ver")) {
    return call.fail("ERR Unrecognized option '" + std::string(word) + "'");
  }
  if (!valid_client_name(value)) {
    return call.fail("ERR " + std::string(word) + " cannot contain spaces, newlines or special characters.");
  }
  if (value.size() > client_name_bytes_max) return call.fail(long_client_name);
  (is_name ? call.session.library_name : call.session.library_version) = value;
  call.reply().ok();
}

void set_reply_mode(ServerCall& call) {
  if (is_keyword(call.argument(2), "on")) {
    call.session.reply_mode = ReplyMode::on;
    call.reply().ok();
  } else if (is_keyword(call.argument(2), "off")) {
    call.session.reply_mode = ReplyMode::off;
  } else if (is_keyword(call.argument(2), "skip")) {
    if (call.session.reply_mode != ReplyMode::off) call.session.reply_mode = ReplyMode::skip_next;
  } else {
    call.fail(syntax_error);
  }
}

/// Commands of every client, or those that write, wait for so long.
Task<> pause_clients(ServerCall& call) {
  const auto ms = parse_integer(call.argument(2));
  const bool writes = call.arguments.size() == 4 && is_keyword(call.argument(3), "write");
  if (call.arguments.size() > 4) {
    call.fail("ERR unknown subcommand or wrong number of arguments for '" + std::string(call.argument(1)) +
              "'. Try CLIENT HELP.");
  } else if (call.arguments.size() == 4 && !writes && !is_keyword(call.argument(3), "all")) {
    call.fail("ERR CLIENT PAUSE mode must be WRITE or ALL");
  } else if (!ms || *ms > pause_ms_max) {
    call.fail("ERR timeout is not an integer or out of range");
  } else if (*ms < 0) {
    call.fail("ERR timeout is negative");
  } else {
    for (unsigned shard = 0; shard < call.service.shards(); ++shard) {
      Service& there = call.service.at(ShardId(shard));
      co_await invoke(ShardId(shard), [&] { there.pause().begin(std::chrono::milliseconds(*ms), writes); });
    }
    call.reply().ok();
  }
}

Task<> unpause_clients(ServerCall& call) {
  for (unsigned shard = 0; shard < call.service.shards(); ++shard) {
    Service& there = call.service.at(ShardId(shard));
    co_await invoke(ShardId(shard), [&] { there.pause().end(); });
  }
  call.reply().ok();
}

/// No command blocks here, so that there is never one to end.
void unblock_client(ServerCall& call) {
  const std::size_t count = call.arguments.size();
  if (count > 4) {
    return call.fail("ERR unknown subcommand or wrong number of arguments for '" +
                     std::string(call.argument(1)) + "'. Try CLIENT HELP.");
  }
  if (count == 4 && !is_keyword(call.argument(3), "timeout") && !is_keyword(call.argument(3), "error")) {
    return call.fail("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  }
  parse_integer(call.argument(2)) ? call.reply().integer(0) : call.fail(not_an_integer);
}

/// Tracking is always off.
void set_tracking(ServerCall& call) {
  const std::string_view word = call.argument(2);
  if (is_keyword(word, "on")) return call.fail("ERR Client tracking is not supported");
  if (!is_keyword(word, "off") || call.arguments.size() != 3) return call.fail(syntax_error);
  call.reply().ok();
}

void reply_tracking(ServerCall& call) {
  ReplyWriter reply = call.reply();
  reply.map(3);
  reply.bulk("flags");
  reply.set(1);
  reply.bulk("off");
  reply.bulk("redirect");
  reply.integer(-1);
  reply.bulk("prefixes");
  reply.array(0);
}

void set_name(ServerCall& call) {
  if (!valid_client_name(call.argument(2))) return call.fail(bad_client_name);
  if (call.argument(2).size() > client_name_bytes_max) return call.fail(long_client_name);
  call.session.name = call.argument(2);
  call.reply().ok();
}

/// ON or OFF, stored in `flag`.
void set_switch(ServerCall& call, bool* flag) {
  const bool on = is_keyword(call.argument(2), "on");
  if (!on && !is_keyword(call.argument(2), "off")) return call.fail(syntax_error);
  if (flag != nullptr) *flag = on;
  call.reply().ok();
}

constexpr std::string_view help[] = {
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GETREDIR",
    "    Return -1: nothing is tracked, and redirected to nobody.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are: ID, ADDR, LADDR, TYPE, USER, SKIPME (YES|NO).",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <id> ...]",
    "    Return information about client connections.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Name the client library of the current connection.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "TRACKING OFF",
    "    Client side caching is not supported: it is always off.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client. No command blocks here.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "HELP",
    "    Prints this help.",
};

}  // namespace

Task<> client_command(ServerCall& call) {
  const std::string_view word = call.argument(1);
  Session& session = call.session;
  if (is_keyword(word, "id")) {
    call.reply().integer(static_cast<std::int64_t>(session.id));
  } else if (is_keyword(word, "getname")) {
    session.name.empty() ? call.reply().null() : call.reply().bulk(session.name);
  } else if (is_keyword(word, "setname")) {
    set_name(call);
  } else if (is_keyword(word, "setinfo")) {
    set_info(call);
  } else if (is_keyword(word, "info")) {
    call.reply().verbatim(describe(session, call.service.shard()));
  } else if (is_keyword(word, "list")) {
    co_await list_clients(call);
  } else if (is_keyword(word, "kill")) {
    co_await kill_clients(call);
  } else if (is_keyword(word, "pause")) {
    co_await pause_clients(call);
  } else if (is_keyword(word, "unpause")) {
    co_await unpause_clients(call);
  } else if (is_keyword(word, "unblock")) {
    unblock_client(call);
  } else if (is_keyword(word, "reply")) {
    set_reply_mode(call);
  } else if (is_keyword(word, "no-evict")) {
    set_switch(call, &session.no_evict);
  } else if (is_keyword(word, "no-touch")) {
    set_switch(call, nullptr);
  } else if (is_keyword(word, "tracking")) {
    set_tracking(call);
  } else if (is_keyword(word, "trackinginfo")) {
    reply_tracking(call);
  } else if (is_keyword(word, "caching")) {
    call.fail(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
        "enabled");
  } else if (is_keyword(word, "getredir")) {
    call.reply().integer(-1);
  } else {
    call.reply().array(std::size(help));
    for (const auto line : help) call.reply().simple(line);
  }
}

}  // namespace ashlar::resp

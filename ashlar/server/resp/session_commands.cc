/// Commands on the connection itself: handshake, PING, SELECT, MULTI and DISCARD.

#include <algorithm>
#include <array>

#include "ashlar/runtime/shard/shard.h"
#include "ashlar/server/resp/handlers.h"
#include "ashlar/server/resp/number.h"
#include "ashlar/server/resp/service.h"
#include "ashlar/server/resp/session_commands.h"
#include "ashlar/server/resp/set_options.h"
#include "ashlar/server/resp/version.h"

namespace ashlar::resp {
namespace {

constexpr std::string_view wrong_password = "WRONGPASS invalid username-password pair or user is disabled.";

/// Compares without telling by its time how much was right.
bool same_secret(std::string_view given, std::string_view secret) noexcept {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference |= static_cast<unsigned char>(given[i] ^ expected);
  }
  return difference == 0;
}

/// The only user is "default"; without a password any is right, as in Redis.
bool log_in(SessionCall& call, std::string_view user, std::string_view password) {
  const std::string& secret = call.service.options().password;
  if (user != "default" || (!secret.empty() && !same_secret(password, secret))) {
    call.fail(wrong_password);
    return false;
  }
  call.session.authenticated = true;
  return true;
}

void reply_hello(SessionCall& call) {
  ReplyWriter reply(call.reply.buffer(), call.session.protocol);
  reply.map(7);
  reply.bulk("server");
  reply.bulk("redis");
  reply.bulk("version");
  reply.bulk(redis_version);
  reply.bulk("proto");
  reply.integer(static_cast<int>(call.session.protocol));
  reply.bulk("id");
  reply.integer(static_cast<std::int64_t>(call.session.id));
  reply.bulk("mode");
  reply.bulk("standalone");
  reply.bulk("role");
  reply.bulk("master");
  reply.bulk("modules");
  reply.array(0);
}

}  // namespace

bool valid_client_name(std::string_view name) noexcept {
  return std::ranges::all_of(name, [](char c) { return c >= '!' && c <= '~'; });
}

void ping_command(SessionCall& call) {
  if (call.arguments.size() > 2) return call.fail(wrong_arity("ping"));
  if (call.arguments.size() == 2) return call.reply.bulk(call.argument(1));
  call.reply.simple("PONG");
}

void echo_command(SessionCall& call) {
  call.reply.bulk(call.argument(1));
}

void select_command(SessionCall& call) {
  const auto index = parse_integer(call.argument(1));
  if (!index) return call.fail(not_an_integer);
  if (*index != static_cast<std::int32_t>(*index)) {
    return call.fail("ERR value is out of range, value must between -2147483648 and 2147483647");
  }
  if (*index != 0) return call.fail("ERR DB index is out of range");
  call.reply.ok();
}

void auth_command(SessionCall& call) {
  if (call.arguments.size() > 3) return call.fail(syntax_error);
  if (call.arguments.size() == 2) {
    if (call.service.options().password.empty()) {
      return call.fail(
          "ERR AUTH <password> called without any password configured for the default user. Are you sure "
          "your "
          "configuration is correct?");
    }
    if (log_in(call, "default", call.argument(1))) call.reply.ok();
  } else if (log_in(call, call.argument(1), call.argument(2))) {
    call.reply.ok();
  }
}

void hello_command(SessionCall& call) {
  Protocol protocol = call.session.protocol;
  std::size_t next = 1;
  if (call.arguments.size() > 1) {
    const auto version = parse_integer(call.argument(next++));
    if (!version) return call.fail("ERR Protocol version is not an integer or out of range");
    if (*version < 2 || *version > 3) return call.fail("NOPROTO unsupported protocol version");
    protocol = static_cast<Protocol>(*version);
  }
  std::string_view name;
  bool named = false;
  for (; next < call.arguments.size(); ++next) {
    const std::size_t more = call.arguments.size() - next - 1;
    if (is_keyword(call.argument(next), "auth") && more >= 2) {
      if (!log_in(call, call.argument(next + 1), call.argument(next + 2))) return;
      next += 2;
    } else if (is_keyword(call.argument(next), "setname") && more >= 1) {
      name = call.argument(++next);
      named = true;
      if (!valid_client_name(name)) return call.fail(bad_client_name);
      if (name.size() > client_name_bytes_max) return call.fail(long_client_name);
    } else {
      return call.fail("ERR Syntax error in HELLO option '" + std::string(call.argument(next)) + "'");
    }
  }
  if (!call.session.authenticated) {
    return call.fail(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
        "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at "
        "the same time");
  }
  if (named) call.session.name = name;
  call.session.protocol = protocol;
  reply_hello(call);
}

void quit_command(SessionCall& call) {
  call.reply.ok();
  call.session.close_after_reply = true;
}

void reset_command(SessionCall& call) {
  Session& session = call.session;
  session.end_multi();
  session.protocol = Protocol::resp2;
  session.reply_mode = ReplyMode::on;
  session.name.clear();
  session.no_evict = false;
  session.authenticated = call.service.options().password.empty();
  call.reply.simple("RESET");
}

void time_command(SessionCall& call) {
  const std::uint64_t now_ms = Shard::current().backend().wall_ms();
  std::array<char, integer_text_bytes_max> text;
  call.reply.array(2);
  call.reply.bulk({text.data(), format_integer(text.data(), static_cast<std::int64_t>(now_ms / 1000))});
  call.reply.bulk(
      {text.data(), format_integer(text.data(), static_cast<std::int64_t>(now_ms % 1000 * 1000))});
}

void multi_command(SessionCall& call) {
  if (call.session.in_multi) return call.fail("ERR MULTI calls can not be nested");
  call.session.in_multi = true;
  call.reply.ok();
}

void discard_command(SessionCall& call) {
  if (!call.session.in_multi) return call.fail("ERR DISCARD without MULTI");
  call.session.end_multi();
  call.reply.ok();
}

void unwatch_command(SessionCall& call) {
  call.session.watched.clear();
  call.session.multi_bytes = 0;  // nothing is queued where this runs
  call.reply.ok();
}

}  // namespace ashlar::resp

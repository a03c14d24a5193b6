/// Commands on keys whatever they hold, and those on several keys: DEL, EXISTS, EXPIRE, TTL, MSET …

#include <algorithm>
#include <limits>
#include <vector>

#include "ashlar/server/resp/handlers.h"
#include "ashlar/server/resp/key_call.h"
#include "ashlar/server/resp/number.h"
#include "ashlar/server/resp/set_options.h"

namespace ashlar::resp {
namespace {

struct ExpireFlags {
  bool only_without = false;  // NX
  bool only_with = false;     // XX
  bool only_later = false;    // GT
  bool only_sooner = false;   // LT
};

bool parse_expire_flags(KeyCall& call, ExpireFlags& flags) {
  for (const std::string_view word : call.arguments().subspan(3)) {
    if (is_keyword(word, "nx")) {
      flags.only_without = true;
    } else if (is_keyword(word, "xx")) {
      flags.only_with = true;
    } else if (is_keyword(word, "gt")) {
      flags.only_later = true;
    } else if (is_keyword(word, "lt")) {
      flags.only_sooner = true;
    } else {
      call.fail("ERR Unsupported option " + std::string(word));
      return false;
    }
  }
  if (flags.only_without && (flags.only_with || flags.only_later || flags.only_sooner)) {
    call.fail("ERR NX and XX, GT or LT options at the same time are not compatible");
    return false;
  }
  if (flags.only_later && flags.only_sooner) {
    call.fail("ERR GT and LT options at the same time are not compatible");
    return false;
  }
  return true;
}

/// Whether the flags allow `expiry_ms` in place of the current expiry; no expiry counts as infinitely late.
bool allowed(const ExpireFlags& flags, std::uint64_t current_ms, std::int64_t expiry_ms) noexcept {
  const bool has_expiry = current_ms != kv::no_expiry;
  const auto current = static_cast<std::int64_t>(current_ms);
  if (flags.only_without && has_expiry) return false;
  if (flags.only_with && !has_expiry) return false;
  if (flags.only_later && (!has_expiry || expiry_ms <= current)) return false;
  if (flags.only_sooner && has_expiry && expiry_ms >= current) return false;
  return true;
}

void expire(KeyCall& call, TimeUnit unit, TimeBase base, std::string_view time_error) {
  ExpireFlags flags;
  if (!parse_expire_flags(call, flags)) return;
  const auto time = parse_integer(call.argument(2));
  if (!time) return call.fail(not_an_integer);
  const std::uint64_t now_ms = call.now_ms();
  std::int64_t expiry_ms = 0;
  if (!to_absolute_ms(*time, unit, base, now_ms, expiry_ms)) return call.fail(time_error);
  const auto& value = call.key().value;
  if (!value || !allowed(flags, value->expiry_ms, expiry_ms)) return call.reply().integer(0);
  const bool past = expiry_ms <= static_cast<std::int64_t>(now_ms);
  if (past ? call.erase(call.key())
           : call.put(call.key(), as_text(value->bytes), static_cast<std::uint64_t>(expiry_ms))) {
    call.reply().integer(1);
  }
}

enum class Left : bool { relative, absolute };

/// TTL and EXPIRETIME and their milliseconds: −2 without the key, −1 without an expiry.
void time_left(KeyCall& call, TimeUnit unit, Left left) {
  const auto& value = call.key().value;
  if (!value) return call.reply().integer(-2);
  if (value->expiry_ms == kv::no_expiry) return call.reply().integer(-1);
  std::uint64_t time = value->expiry_ms;
  if (left == Left::relative) time -= std::min(time, call.now_ms());
  if (unit == TimeUnit::seconds) time = (time + 500) / 1000;
  call.reply().integer(static_cast<std::int64_t>(time));
}

bool same_key(const KeySlot& a, const KeySlot& b) noexcept {
  return a.key.hash() == b.key.hash() && equal(a.key.bytes(), b.key.bytes());
}

/// The indices of `keys` with each key once, in its last place.
std::vector<std::size_t> last_of_each(std::span<KeySlot> keys) {
  std::vector<std::size_t> order(keys.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    const int by_key = compare(keys[a].key.bytes(), keys[b].key.bytes());
    return by_key != 0 ? by_key < 0 : a > b;
  });
  const auto repeated =
      std::ranges::unique(order, [&](std::size_t a, std::size_t b) { return same_key(keys[a], keys[b]); });
  order.erase(repeated.begin(), repeated.end());
  return order;
}

/// Writes the pairs of MSET and MSETNX as one batch.
bool put_all(KeyCall& call) {
  std::vector<kv::Write> writes;
  writes.reserve(call.keys().size());
  for (const std::size_t i : last_of_each(call.keys())) {
    writes.push_back({.key = &call.keys()[i].key, .value = as_bytes(call.argument(2 + 2 * i))});
  }
  return call.write(writes);
}

}  // namespace

void del_command(KeyCall& call) {
  if (call.keys().size() == 1) {
    if (!call.key().value) return call.reply().integer(0);
    if (call.erase(call.key())) call.reply().integer(1);
    return;
  }
  std::vector<kv::Write> writes;
  for (const std::size_t i : last_of_each(call.keys())) {
    if (call.keys()[i].value)
      writes.push_back({.key = &call.keys()[i].key, .value = {}, .kind = kv::Kind::erase});
  }
  if (writes.empty()) return call.reply().integer(0);
  if (call.write(writes)) call.reply().integer(static_cast<std::int64_t>(writes.size()));
}

void exists_command(KeyCall& call) {
  const auto present =
      std::ranges::count_if(call.keys(), [](const KeySlot& slot) { return slot.value.has_value(); });
  call.reply().integer(present);
}

void type_command(KeyCall& call) {
  call.reply().simple(call.key().value ? "string" : "none");
}

void mset_command(KeyCall& call) {
  if (call.arguments().size() % 2 == 0) return call.fail(wrong_arity("mset"));
  if (put_all(call)) call.reply().ok();
}

void msetnx_command(KeyCall& call) {
  if (call.arguments().size() % 2 == 0) return call.fail(wrong_arity("msetnx"));
  const bool any =
      std::ranges::any_of(call.keys(), [](const KeySlot& slot) { return slot.value.has_value(); });
  if (any) return call.reply().integer(0);
  if (put_all(call)) call.reply().integer(1);
}

void expire_command(KeyCall& call) {
  expire(call, TimeUnit::seconds, TimeBase::now, "ERR invalid expire time in 'expire' command");
}
void pexpire_command(KeyCall& call) {
  expire(call, TimeUnit::milliseconds, TimeBase::now, "ERR invalid expire time in 'pexpire' command");
}
void expireat_command(KeyCall& call) {
  expire(call, TimeUnit::seconds, TimeBase::epoch, "ERR invalid expire time in 'expireat' command");
}
void pexpireat_command(KeyCall& call) {
  expire(call, TimeUnit::milliseconds, TimeBase::epoch, "ERR invalid expire time in 'pexpireat' command");
}

void ttl_command(KeyCall& call) {
  time_left(call, TimeUnit::seconds, Left::relative);
}
void pttl_command(KeyCall& call) {
  time_left(call, TimeUnit::milliseconds, Left::relative);
}
void expiretime_command(KeyCall& call) {
  time_left(call, TimeUnit::seconds, Left::absolute);
}
void pexpiretime_command(KeyCall& call) {
  time_left(call, TimeUnit::milliseconds, Left::absolute);
}

void persist_command(KeyCall& call) {
  const auto& value = call.key().value;
  if (!value || value->expiry_ms == kv::no_expiry) return call.reply().integer(0);
  if (call.put(call.key(), as_text(value->bytes))) call.reply().integer(1);
}

void rename_command(KeyCall& call) {
  KeySlot &from = call.keys()[0], &to = call.keys()[1];
  if (!from.value) return call.fail("ERR no such key");
  if (!same_key(from, to) &&
      !call.write({{.key = &to.key, .value = from.value->bytes, .expiry_ms = from.value->expiry_ms},
                   {.key = &from.key, .value = {}, .kind = kv::Kind::erase}})) {
    return;
  }
  call.reply().ok();
}

void renamenx_command(KeyCall& call) {
  KeySlot &from = call.keys()[0], &to = call.keys()[1];
  if (!from.value) return call.fail("ERR no such key");
  if (to.value) return call.reply().integer(0);
  if (call.write({{.key = &to.key, .value = from.value->bytes, .expiry_ms = from.value->expiry_ms},
                  {.key = &from.key, .value = {}, .kind = kv::Kind::erase}})) {
    call.reply().integer(1);
  }
}

}  // namespace ashlar::resp

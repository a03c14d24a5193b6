/// GET, SET and all that read or change one string.

#include <array>
#include <cmath>
#include <limits>

#include "ashlar/server/resp/handlers.h"
#include "ashlar/server/resp/key_call.h"
#include "ashlar/server/resp/number.h"
#include "ashlar/server/resp/set_options.h"

namespace ashlar::resp {
namespace {

constexpr std::string_view not_a_real = "ERR value is not a valid float";
constexpr std::string_view string_too_long = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

std::string_view text_of(const std::optional<kv::Value>& value) noexcept {
  return value ? as_text(value->bytes) : std::string_view{};
}
std::uint64_t expiry_of(const std::optional<kv::Value>& value) noexcept {
  return value ? value->expiry_ms : kv::no_expiry;
}

void release_pin(void* pin) noexcept {
  delete static_cast<kv::Pin*>(pin);
}

/// The value, or null. A big one is sent from where it lies.
void reply_value(KeyCall& call, std::optional<kv::Value>& value) {
  if (!value) return call.reply().null();
  const std::string_view text = text_of(value);
  if (text.size() < OutputBuffer::pinned_bytes_min || !value->pin || !call.may_pin()) {
    return call.reply().bulk(text);
  }
  call.reply().bulk(text, Pin(&release_pin, new kv::Pin(std::move(value->pin))));
}

/// A string to build a new value in; kept for the next one unless it has grown large.
std::string& scratch() {
  thread_local std::string text;
  if (text.capacity() > 1 << 20) text = {};
  text.clear();
  return text;
}

void add_integer(KeyCall& call, std::int64_t delta) {
  std::int64_t value = 0;
  if (call.key().value) {
    const auto old = parse_integer(text_of(call.key().value));
    if (!old) return call.fail(not_an_integer);
    value = *old;
  }
  if (__builtin_add_overflow(value, delta, &value)) {
    return call.fail("ERR increment or decrement would overflow");
  }
  std::array<char, integer_text_bytes_max> text;
  const std::size_t size = format_integer(text.data(), value);
  if (call.put(call.key(), {text.data(), size}, expiry_of(call.key().value))) call.reply().integer(value);
}

/// SETEX and PSETEX.
void set_for(KeyCall& call, TimeUnit unit, std::string_view time_error) {
  const auto time = parse_integer(call.argument(2));
  if (!time) return call.fail(not_an_integer);
  std::int64_t expiry_ms = 0;
  if (*time <= 0 || !to_absolute_ms(*time, unit, TimeBase::now, call.now_ms(), expiry_ms)) {
    return call.fail(time_error);
  }
  if (call.put(call.key(), call.argument(3), static_cast<std::uint64_t>(expiry_ms))) call.reply().ok();
}

}  // namespace

void get_command(KeyCall& call) {
  reply_value(call, call.key().value);
}

void set_command(KeyCall& call) {
  if (call.arguments().size() == 3) {
    if (call.put(call.key(), call.argument(2))) call.reply().ok();
    return;
  }
  SetOptions options;
  if (!parse_set_options(call.arguments().subspan(3), SetOptionsOf::set, options))
    return call.fail(syntax_error);
  std::uint64_t expiry_ms = kv::no_expiry;
  if (options.has_expiry) {
    const auto error = resolve_expiry(options, SetOptionsOf::set, call.now_ms(), expiry_ms);
    if (!error.empty()) return call.fail(error);
  }
  auto& old = call.key().value;
  if ((options.only_absent && old) || (options.only_present && !old)) {
    return options.return_old ? reply_value(call, old) : call.reply().null();
  }
  if (options.keep_expiry) expiry_ms = expiry_of(old);
  if (!call.put(call.key(), call.argument(2), expiry_ms)) return;
  if (!options.return_old) return call.reply().ok();
  reply_value(call, old);
}

void setnx_command(KeyCall& call) {
  if (call.key().value) return call.reply().integer(0);
  if (call.put(call.key(), call.argument(2))) call.reply().integer(1);
}

void setex_command(KeyCall& call) {
  set_for(call, TimeUnit::seconds, "ERR invalid expire time in 'setex' command");
}
void psetex_command(KeyCall& call) {
  set_for(call, TimeUnit::milliseconds, "ERR invalid expire time in 'psetex' command");
}

void getset_command(KeyCall& call) {
  if (call.put(call.key(), call.argument(2))) reply_value(call, call.key().value);
}

void getdel_command(KeyCall& call) {
  if (!call.key().value) return call.reply().null();
  if (call.erase(call.key())) reply_value(call, call.key().value);
}

void getex_command(KeyCall& call) {
  SetOptions options;
  if (!parse_set_options(call.arguments().subspan(2), SetOptionsOf::getex, options)) {
    return call.fail(syntax_error);
  }
  auto& value = call.key().value;
  if (!value) return call.reply().null();
  std::uint64_t expiry_ms = options.persist ? kv::no_expiry : value->expiry_ms;
  if (options.has_expiry) {
    const auto error = resolve_expiry(options, SetOptionsOf::getex, call.now_ms(), expiry_ms);
    if (!error.empty()) return call.fail(error);
  }
  const bool past = options.has_expiry && expiry_ms <= call.now_ms();
  const bool changes = options.has_expiry || expiry_ms != value->expiry_ms;
  if (past ? !call.erase(call.key()) : changes && !call.put(call.key(), text_of(value), expiry_ms)) return;
  reply_value(call, value);
}

void append_command(KeyCall& call) {
  const std::string_view old = text_of(call.key().value), tail = call.argument(2);
  if (old.size() + tail.size() > KeyCall::string_bytes_max) return call.fail(string_too_long);
  std::string& text = scratch();
  text.append(old).append(tail);
  if (call.put(call.key(), text, expiry_of(call.key().value))) {
    call.reply().integer(static_cast<std::int64_t>(text.size()));
  }
}

void strlen_command(KeyCall& call) {
  call.reply().integer(static_cast<std::int64_t>(text_of(call.key().value).size()));
}

void getrange_command(KeyCall& call) {
  const auto first = parse_integer(call.argument(2)), last = parse_integer(call.argument(3));
  if (!first || !last) return call.fail(not_an_integer);
  const std::string_view text = text_of(call.key().value);
  const auto size = static_cast<std::int64_t>(text.size());
  std::int64_t start = *first, end = *last;
  if (start < 0 && end < 0 && start > end) return call.reply().bulk("");
  if (start < 0) start = std::max<std::int64_t>(start + size, 0);
  if (end < 0) end = std::max<std::int64_t>(end + size, 0);
  end = std::min(end, size - 1);
  if (start > end) return call.reply().bulk("");
  call.reply().bulk(text.substr(static_cast<std::size_t>(start), static_cast<std::size_t>(end - start + 1)));
}

void setrange_command(KeyCall& call) {
  const auto offset = parse_integer(call.argument(2));
  if (!offset) return call.fail(not_an_integer);
  if (*offset < 0) return call.fail("ERR offset is out of range");
  const std::string_view old = text_of(call.key().value), patch = call.argument(3);
  if (patch.empty()) return call.reply().integer(static_cast<std::int64_t>(old.size()));
  const auto at = static_cast<std::size_t>(*offset);
  if (at > KeyCall::string_bytes_max || at + patch.size() > KeyCall::string_bytes_max) {
    return call.fail(string_too_long);
  }
  std::string& text = scratch();
  text.append(old);
  if (text.size() < at + patch.size()) text.resize(at + patch.size(), '\0');
  text.replace(at, patch.size(), patch);
  if (call.put(call.key(), text, expiry_of(call.key().value))) {
    call.reply().integer(static_cast<std::int64_t>(text.size()));
  }
}

void incr_command(KeyCall& call) {
  add_integer(call, 1);
}
void decr_command(KeyCall& call) {
  add_integer(call, -1);
}
void incrby_command(KeyCall& call) {
  const auto delta = parse_integer(call.argument(2));
  if (!delta) return call.fail(not_an_integer);
  add_integer(call, *delta);
}
void decrby_command(KeyCall& call) {
  const auto delta = parse_integer(call.argument(2));
  if (!delta) return call.fail(not_an_integer);
  if (*delta == std::numeric_limits<std::int64_t>::min()) return call.fail("ERR decrement would overflow");
  add_integer(call, -*delta);
}

void incrbyfloat_command(KeyCall& call) {
  long double value = 0;
  if (call.key().value) {
    const auto old = parse_real(text_of(call.key().value));
    if (!old) return call.fail(not_a_real);
    value = *old;
  }
  const auto delta = parse_real(call.argument(2));
  if (!delta) return call.fail(not_a_real);
  value += *delta;
  if (std::isnan(value) || std::isinf(value)) return call.fail("ERR increment would produce NaN or Infinity");
  std::array<char, real_text_bytes_max> text;
  const std::string_view written(text.data(), format_real(text.data(), value));
  if (call.put(call.key(), written, expiry_of(call.key().value))) call.reply().bulk(written);
}

void mget_command(KeyCall& call) {
  call.reply().array(call.keys().size());
  for (KeySlot& slot : call.keys()) reply_value(call, slot.value);
}

}  // namespace ashlar::resp

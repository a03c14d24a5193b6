#include "ashlar/server/resp/command_table.h"

#include <array>
#include <cstring>

#include "ashlar/server/resp/handlers.h"

namespace ashlar::resp {
namespace {

struct Keys {
  std::int8_t first = 0, last = 0, step = 0;
};
constexpr Keys no_keys{};
constexpr Keys one_key{1, 1, 1};
constexpr Keys two_keys{1, 2, 1};
constexpr Keys all_keys{1, -1, 1};
constexpr Keys key_value_pairs{1, -1, 2};

struct Help {
  const char* since;
  const char* complexity;
  const char* summary;
};

using enum CommandGroup;

constexpr CommandSpec on_keys(std::string_view name, std::int8_t arity, std::uint32_t flags, Keys keys,
                              void (*run)(KeyCall&), CommandGroup group, Help help,
                              std::int8_t blind_at = 0) {
  return {name,       arity,        flags,           keys.first, keys.last,   keys.step,        group,
          help.since, help.summary, help.complexity, blind_at,   Route::keys, {.run_keys = run}};
}
constexpr CommandSpec on_session(std::string_view name, std::int8_t arity, std::uint32_t flags,
                                 void (*run)(SessionCall&), CommandGroup group, Help help) {
  return {name,
          arity,
          flags,
          0,
          0,
          0,
          group,
          help.since,
          help.summary,
          help.complexity,
          0,
          Route::session,
          {.run_session = run}};
}
constexpr CommandSpec on_server(std::string_view name, std::int8_t arity, std::uint32_t flags, Keys keys,
                                Task<> (*run)(ServerCall&), CommandGroup group, Help help) {
  return {name,       arity,        flags,           keys.first, keys.last,     keys.step,          group,
          help.since, help.summary, help.complexity, 0,          Route::server, {.run_server = run}};
}

constexpr std::uint32_t anytime = loading | stale;
constexpr std::uint32_t handshake = noscript | loading | stale | fast | no_auth | allow_busy;
constexpr std::uint32_t transaction = noscript | loading | stale | fast | allow_busy;

// By name. Arity, flags and keys are those of Redis 7.0, which clients rely on.
constexpr CommandSpec commands[] = {
    on_keys("append", 3, write | denyoom | fast, one_key, append_command, string,
            {"2.0.0", "O(1)", "Append a value to a key"}),
    on_session("auth", -2, handshake, auth_command, connection,
               {"1.0.0", "O(1)", "Authenticate to the server"}),
    on_server("client", -2, 0, no_keys, client_command, connection,
              {"2.4.0", "Depends on subcommand.", "A container for client connection commands"}),
    on_session("command", -1, anytime, command_command, server,
               {"2.8.13", "O(N) where N is the total number of commands", "Get array of command details"}),
    on_server("config", -2, 0, no_keys, config_command, server,
              {"2.0.0", "Depends on subcommand.", "A container for server configuration commands"}),
    on_server("dbsize", 1, readonly | fast, no_keys, dbsize_command, server,
              {"1.0.0", "O(N)", "Return the number of keys"}),
    on_keys("decr", 2, write | denyoom | fast, one_key, decr_command, string,
            {"1.0.0", "O(1)", "Decrement the integer value of a key by one"}),
    on_keys("decrby", 3, write | denyoom | fast, one_key, decrby_command, string,
            {"1.0.0", "O(1)", "Decrement the integer value of a key by the given number"}),
    on_keys("del", -2, write, all_keys, del_command, generic,
            {"1.0.0", "O(N) where N is the number of keys that will be removed", "Delete a key"}),
    on_session("discard", 1, transaction | never_queued, discard_command, transactions,
               {"2.0.0", "O(N), when N is the number of queued commands",
                "Discard all commands issued after MULTI"}),
    on_session("echo", 2, anytime | fast, echo_command, connection,
               {"1.0.0", "O(1)", "Echo the given string"}),
    on_server("exec", 1, noscript | loading | stale | never_queued, no_keys, exec_command, transactions,
              {"1.2.0", "Depends on commands in the transaction", "Execute all commands issued after MULTI"}),
    on_keys("exists", -2, readonly | fast, all_keys, exists_command, generic,
            {"1.0.0", "O(N) where N is the number of keys to check", "Determine if a key exists"}),
    on_keys("expire", -3, write | fast, one_key, expire_command, generic,
            {"1.0.0", "O(1)", "Set a key's time to live in seconds"}),
    on_keys("expireat", -3, write | fast, one_key, expireat_command, generic,
            {"1.2.0", "O(1)", "Set the expiration for a key as a UNIX timestamp"}),
    on_keys("expiretime", 2, readonly | fast, one_key, expiretime_command, generic,
            {"7.0.0", "O(1)", "Get the expiration Unix timestamp for a key"}),
    on_server("flushall", -1, write | dangerous | clears_all, no_keys, flush_command, server,
              {"1.0.0", "O(1)", "Remove all keys"}),
    on_server("flushdb", -1, write | dangerous | clears_all, no_keys, flush_command, server,
              {"1.0.0", "O(1)", "Remove all keys"}),
    on_keys("get", 2, readonly | fast, one_key, get_command, string,
            {"1.0.0", "O(1)", "Get the value of a key"}),
    on_keys("getdel", 2, write | fast, one_key, getdel_command, string,
            {"6.2.0", "O(1)", "Get the value of a key and delete the key"}),
    on_keys("getex", -2, write | fast, one_key, getex_command, string,
            {"6.2.0", "O(1)", "Get the value of a key and optionally set its expiration"}),
    on_keys("getrange", 4, readonly, one_key, getrange_command, string,
            {"2.4.0", "O(N) where N is the length of the returned string",
             "Get a substring of the string stored at a key"}),
    on_keys("getset", 3, write | denyoom | fast, one_key, getset_command, string,
            {"1.0.0", "O(1)", "Set the string value of a key and return its old value"}),
    on_session("hello", -1, handshake, hello_command, connection,
               {"6.0.0", "O(1)", "Handshake with the server"}),
    on_keys("incr", 2, write | denyoom | fast, one_key, incr_command, string,
            {"1.0.0", "O(1)", "Increment the integer value of a key by one"}),
    on_keys("incrby", 3, write | denyoom | fast, one_key, incrby_command, string,
            {"1.0.0", "O(1)", "Increment the integer value of a key by the given amount"}),
    on_keys("incrbyfloat", 3, write | denyoom | fast, one_key, incrbyfloat_command, string,
            {"2.6.0", "O(1)", "Increment the float value of a key by the given amount"}),
    on_server("info", -1, anytime | dangerous, no_keys, info_command, server,
              {"1.0.0", "O(1)", "Get information and statistics about the server"}),
    on_server("keys", 2, readonly | dangerous, no_keys, keys_command, generic,
              {"1.0.0", "O(N) with N being the number of keys", "Find all keys matching the given pattern"}),
    on_keys(
        "mget", -2, readonly | fast, all_keys, mget_command, string,
        {"1.0.0", "O(N) where N is the number of keys to retrieve", "Get the values of all the given keys"}),
    on_keys("mset", -3, write | denyoom, key_value_pairs, mset_command, string,
            {"1.0.1", "O(N) where N is the number of keys to set", "Set multiple keys to multiple values"},
            any_count),
    on_keys("msetnx", -3, write | denyoom, key_value_pairs, msetnx_command, string,
            {"1.0.1", "O(N) where N is the number of keys to set",
             "Set multiple keys to multiple values, only if none of the keys exist"}),
    on_session("multi", 1, transaction | never_queued, multi_command, transactions,
               {"1.2.0", "O(1)", "Mark the start of a transaction block"}),
    on_keys("persist", 2, write | fast, one_key, persist_command, generic,
            {"2.2.0", "O(1)", "Remove the expiration from a key"}),
    on_keys("pexpire", -3, write | fast, one_key, pexpire_command, generic,
            {"2.6.0", "O(1)", "Set a key's time to live in milliseconds"}),
    on_keys("pexpireat", -3, write | fast, one_key, pexpireat_command, generic,
            {"2.6.0", "O(1)", "Set the expiration for a key as a UNIX timestamp specified in milliseconds"}),
    on_keys("pexpiretime", 2, readonly | fast, one_key, pexpiretime_command, generic,
            {"7.0.0", "O(1)", "Get the expiration Unix timestamp for a key in milliseconds"}),
    on_session("ping", -1, fast, ping_command, connection, {"1.0.0", "O(1)", "Ping the server"}),
    on_keys("psetex", 4, write | denyoom, one_key, psetex_command, string,
            {"2.6.0", "O(1)", "Set the value and expiration in milliseconds of a key"}, 4),
    on_keys("pttl", 2, readonly | fast, one_key, pttl_command, generic,
            {"2.6.0", "O(1)", "Get the time to live for a key in milliseconds"}),
    on_session("quit", -1, handshake | never_queued, quit_command, connection,
               {"1.0.0", "O(1)", "Close the connection"}),
    on_server("randomkey", 1, readonly, no_keys, randomkey_command, generic,
              {"1.0.0", "O(1)", "Return a random key"}),
    on_keys("rename", 3, write, two_keys, rename_command, generic, {"1.0.0", "O(1)", "Rename a key"}),
    on_keys("renamenx", 3, write | fast, two_keys, renamenx_command, generic,
            {"1.0.0", "O(1)", "Rename a key, only if the new key does not exist"}),
    on_session("reset", 1, handshake | never_queued, reset_command, connection,
               {"6.2.0", "O(1)", "Reset the connection"}),
    on_server("scan", -2, readonly, no_keys, scan_command, generic,
              {"2.8.0", "O(1) for every call. O(N) for a complete iteration",
               "Incrementally iterate the keys space"}),
    on_session("select", 2, anytime | fast, select_command, connection,
               {"1.0.0", "O(1)", "Change the selected database for the current connection"}),
    on_keys("set", -3, write | denyoom, one_key, set_command, string,
            {"1.0.0", "O(1)", "Set the string value of a key"}, 3),
    on_keys("setex", 4, write | denyoom, one_key, setex_command, string,
            {"2.0.0", "O(1)", "Set the value and expiration of a key"}, 4),
    on_keys("setnx", 3, write | denyoom | fast, one_key, setnx_command, string,
            {"1.0.0", "O(1)", "Set the value of a key, only if the key does not exist"}),
    on_keys("setrange", 4, write | denyoom, one_key, setrange_command, string,
            {"2.2.0", "O(M) with M being the length of the resulting string",
             "Overwrite part of a string at key starting at the specified offset"}),
    on_keys("strlen", 2, readonly | fast, one_key, strlen_command, string,
            {"2.2.0", "O(1)", "Get the length of the value stored in a key"}),
    on_keys("substr", 4, readonly, one_key, getrange_command, string,
            {"1.0.0", "O(N) where N is the length of the returned string",
             "Get a substring of the string stored at a key"}),
    on_session("time", 1, anytime | fast, time_command, server,
               {"2.6.0", "O(1)", "Return the current server time"}),
    on_keys("touch", -2, readonly | fast, all_keys, exists_command, generic,
            {"3.2.1", "O(N) where N is the number of keys", "Return the number of existing keys specified"}),
    on_keys("ttl", 2, readonly | fast, one_key, ttl_command, generic,
            {"1.0.0", "O(1)", "Get the time to live for a key in seconds"}),
    on_keys("type", 2, readonly | fast, one_key, type_command, generic,
            {"1.0.0", "O(1)", "Determine the type stored at key"}),
    on_keys("unlink", -2, write | fast, all_keys, del_command, generic,
            {"4.0.0", "O(1) for each key removed", "Delete a key"}),
    on_session("unwatch", 1, transaction, unwatch_command, transactions,
               {"2.2.0", "O(1)", "Forget about all watched keys"}),
    on_server("watch", -2, transaction | never_queued, all_keys, watch_command, transactions,
              {"2.2.0", "O(1) for every key.",
               "Watch the given keys to determine execution of the MULTI/EXEC block"}),
};
constexpr std::size_t command_count = std::size(commands);

constexpr SubcommandSpec client_subcommands[] = {
    {"caching", 3}, {"getname", 2}, {"getredir", 2},  {"help", 2},         {"id", 2},       {"info", 2},
    {"kill", -3},   {"list", -2},   {"no-evict", 3},  {"no-touch", 3},     {"pause", -3},   {"reply", 3},
    {"setinfo", 4}, {"setname", 3}, {"tracking", -3}, {"trackinginfo", 2}, {"unblock", -3}, {"unpause", 2},
};
constexpr SubcommandSpec command_subcommands[] = {
    {"count", 2}, {"docs", -2}, {"getkeys", -4}, {"getkeysandflags", -4},
    {"help", 2},  {"info", -2}, {"list", -2},
};
constexpr SubcommandSpec config_subcommands[] = {
    {"get", -3}, {"help", 2}, {"resetstat", 2}, {"rewrite", 2}, {"set", -4},
};

/// A name of up to 16 letters as two words, in lower case; with its length it names the command without a
/// loop. Only letters become letters by setting bit 5, and names have nothing but letters.
struct NameKey {
  std::uint64_t first = 0, last = 0;
  bool operator==(const NameKey&) const = default;
};
constexpr std::size_t name_size_max = 16;
constexpr std::uint64_t lower_bits = 0x2020202020202020;

constexpr std::uint64_t load(const char* from, std::size_t size) noexcept {
  if (std::is_constant_evaluated()) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < size; ++i)
      word |= std::uint64_t{static_cast<unsigned char>(from[i])} << (8 * i);
    return word;
  }
  if (size == 8) {
    std::uint64_t word;
    std::memcpy(&word, from, 8);
    return word;
  }
  if (size == 4) {
    std::uint32_t word;
    std::memcpy(&word, from, 4);
    return word;
  }
  return static_cast<unsigned char>(*from);
}

constexpr NameKey pack(std::string_view name) noexcept {
  const std::size_t unit = name.size() >= 8 ? 8 : (name.size() >= 4 ? 4 : 1);
  const char* const end = name.data() + name.size();
  NameKey key{load(name.data(), unit), load(end - unit, unit)};
  if (unit == 1) key.first |= load(name.data() + name.size() / 2, 1) << 8;
  return {key.first | lower_bits, key.last | lower_bits};
}

constexpr std::size_t table_size = 512;
constexpr std::size_t slot_in_table(const NameKey& key, std::size_t size, std::uint64_t multiplier) noexcept {
  return ((key.first ^ (key.last * 31) ^ size) * multiplier) >> (64 - 9);
}

struct NameTable {
  std::uint64_t multiplier = 0;
  std::array<std::uint8_t, table_size> index{};  // + 1; 0: no command
  std::array<NameKey, command_count> keys{};
};

/// Looks for a multiplier under which no two names share a slot.
consteval NameTable make_name_table() {
  NameTable table;
  for (std::size_t i = 0; i < command_count; ++i) table.keys[i] = pack(commands[i].name);
  for (table.multiplier = 0x9e3779b97f4a7c15;; table.multiplier += 0x2545f4914f6cdd1e) {
    table.index = {};
    bool collided = false;
    for (std::size_t i = 0; i < command_count && !collided; ++i) {
      auto& at = table.index[slot_in_table(table.keys[i], commands[i].name.size(), table.multiplier)];
      collided = at != 0;
      at = static_cast<std::uint8_t>(i + 1);
    }
    if (!collided) return table;
  }
}
constexpr NameTable names = make_name_table();

}  // namespace

const CommandSpec* find_command(std::string_view name) noexcept {
  if (name.empty() || name.size() > name_size_max) return nullptr;
  const NameKey key = pack(name);
  const unsigned index = names.index[slot_in_table(key, name.size(), names.multiplier)];
  if (index == 0) return nullptr;
  const CommandSpec& found = commands[index - 1];
  return found.name.size() == name.size() && names.keys[index - 1] == key ? &found : nullptr;
}

std::span<const SubcommandSpec> subcommands_of(const CommandSpec& spec) noexcept {
  if (spec.name == "client") return client_subcommands;
  if (spec.name == "command") return command_subcommands;
  if (spec.name == "config") return config_subcommands;
  return {};
}

std::span<const CommandSpec> all_commands() noexcept {
  return commands;
}

}  // namespace ashlar::resp

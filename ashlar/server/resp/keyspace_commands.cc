/// Commands on the whole keyspace: DBSIZE, KEYS, RANDOMKEY, FLUSHALL and FLUSHDB.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/server/resp/glob.h"
#include "ashlar/server/resp/handlers.h"
#include "ashlar/server/resp/keyspace.h"
#include "ashlar/server/resp/service.h"
#include "ashlar/server/resp/set_options.h"

namespace ashlar::resp {
namespace {

/// Matching keys of one partition, as elements of the reply.
struct Matches {
  std::string elements;
  std::size_t count = 0;
  bool too_many = false;
};

/// What a reply under way holds, in the sum of the shard where it grows: with all else there, it is bounded.
class Growing {
 public:
  explicit Growing(Service& service) noexcept : service_(service) {}
  Growing(const Growing&) = delete;
  Growing& operator=(const Growing&) = delete;
  ~Growing() { service_.buffered_bytes -= bytes_; }

  /// False where the shard's clients hold too much.
  bool grow_to(std::size_t bytes) noexcept {
    service_.buffered_bytes += bytes - bytes_;
    bytes_ = bytes;
    return service_.buffered_bytes <= service_.options().shard_buffer_bytes_max;
  }

 private:
  Service& service_;
  std::size_t bytes_ = 0;
};

Task<Result<>> find_matches(Service& service, kv::Partition& partition, std::string_view pattern,
                            std::size_t bytes_max, Matches& matches) {
  ChunkPool pool(0);
  OutputBuffer out(pool);
  ReplyWriter writer(out, Protocol::resp2);
  Growing growing(service);
  const kv::Durability durability = service.durability();
  const SlotRange range(0, kv::slot_count, durability);
  const auto cursor = partition.scan(range.options());
  while (CO_TRY(co_await cursor->next())) {
    const std::string_view key = as_text(kv::user_key_of_stored(cursor->item().key));
    if (glob_match(pattern, key)) {
      writer.bulk(key);
      ++matches.count;
    }
    if (out.size() > bytes_max || !growing.grow_to(out.size())) {
      matches.too_many = true;
      co_return Result<>{};
    }
    if (Shard::current().should_yield()) co_await yield();
  }
  matches.elements = out.take_text();
  co_return Result<>{};
}

/// The first live key at or after `slot` in the partition, `skip` keys further on if there are as many.
Task<Result<std::optional<std::string>>> key_near(kv::Partition& partition, kv::Durability durability,
                                                  std::uint16_t slot, unsigned skip) {
  const SlotRange range(slot, kv::slot_count, durability);
  const auto cursor = partition.scan(range.options());
  std::optional<std::string> key;
  for (unsigned i = 0; i <= skip && CO_TRY(co_await cursor->next()); ++i) {
    key = as_text(kv::user_key_of_stored(cursor->item().key));
  }
  co_return key;
}

Task<Result<>> clear(kv::Partition& partition, kv::Durability durability) {
  const kv::Ticket ticket =
      CO_TRY(partition.append({.key = nullptr, .value = {}, .kind = kv::Kind::clear}, durability));
  co_return co_await ticket;
}

}  // namespace

Task<Result<KeyspaceCount>> count_keys(kv::Partition& partition, kv::Durability durability) {
  KeyspaceCount count;
  const SlotRange range(0, kv::slot_count, durability);
  const auto cursor = partition.scan(range.options());
  while (CO_TRY(co_await cursor->next())) {
    ++count.keys;
    if (cursor->item().expiry_ms != kv::no_expiry) ++count.expiring;
    if (Shard::current().should_yield()) co_await yield();
  }
  co_return count;
}

Task<> dbsize_command(ServerCall& call) {
  const kv::Durability durability = call.service.durability();
  std::uint64_t keys = 0;
  for (const Place& place : call.service.places()) {
    const auto count = co_await invoke(place.home, [&] { return count_keys(*place.partition, durability); });
    if (!count) {
      call.fail(error_text(count.error()));
      co_return;
    }
    keys += count->keys;
  }
  call.reply().integer(static_cast<std::int64_t>(keys));
}

Task<> keys_command(ServerCall& call) {
  Growing held(call.service);
  std::vector<Matches> matches;
  std::size_t count = 0, held_bytes = 0, bytes_left = call.service.options().reply_bytes_max;
  for (const Place& place : call.service.places()) {
    Matches& found = matches.emplace_back();
    Service& there = call.service.at(place.home);
    const Result<> done = co_await invoke(place.home, [&] {
      return find_matches(there, *place.partition, call.argument(1), bytes_left, found);
    });
    const std::size_t bytes = held_bytes + found.elements.size();
    if (!done || found.too_many || !held.grow_to(bytes)) {
      call.fail(done
                    ? "ERR the keys that match are longer than resp-reply-bytes-max or resp-buffer-bytes-max "
                      "allows; use SCAN"
                    : error_text(done.error()));
      co_return;
    }
    count += found.count;
    bytes_left -= found.elements.size();
    held_bytes = bytes;
  }
  call.reply().array(count);
  for (const Matches& found : matches) call.stream.out().append(found.elements);
}

/// A random slot, then a few keys on: near enough to fair, and one seek.
Task<> randomkey_command(ServerCall& call) {
  const kv::Durability durability = call.service.durability();
  const std::uint64_t random = Shard::current().random();
  const auto slot = static_cast<std::uint16_t>(random % kv::slot_count);
  const auto skip = static_cast<unsigned>(random >> 32) % 16;
  const auto& places = call.service.places();
  const std::size_t first = call.service.store().partitioner().slot_map()[slot].value;
  for (std::size_t i = 0; i <= places.size(); ++i) {
    const Place& place = places[(first + i) % places.size()];
    const std::uint16_t from = i == 0 ? slot : 0;
    const auto key =
        co_await invoke(place.home, [&] { return key_near(*place.partition, durability, from, skip); });
    if (!key) {
      call.fail(error_text(key.error()));
      co_return;
    }
    if (*key) {
      call.reply().bulk(**key);
      co_return;
    }
  }
  call.reply().null();
}

bool flush_options_fit(std::span<const std::string_view> arguments) noexcept {
  return arguments.size() == 1 ||
         (arguments.size() == 2 && (is_keyword(arguments[1], "async") || is_keyword(arguments[1], "sync")));
}

Task<> flush_command(ServerCall& call) {
  if (!flush_options_fit(call.arguments)) {
    call.fail(syntax_error);
    co_return;
  }
  const kv::Durability durability = call.service.durability();
  for (const Place& place : call.service.places()) {
    const Result<> done =
        co_await invoke(place.home, [&place, durability] { return clear(*place.partition, durability); });
    if (!done) {
      call.fail(error_text(done.error()));
      co_return;
    }
  }
  call.reply().ok();
}

}  // namespace ashlar::resp

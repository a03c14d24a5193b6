#include "ashlar/server/resp/scan_cursor.h"

/// SCAN:
/// 1. The cursor names a slot and a position in it. The slots from there on that one partition holds are
/// walked on
///    its shard, in one pass, slot after slot.
/// 2. The keys of a slot at or behind the position that match are gathered in order of position, as many as
/// memory
///    allows: beyond that the last ones are dropped again, and the next call comes back for them.
/// 3. A slot gives at least an eighth of what it has in a call, so that even a slot with every key in it (one
/// hash
///    tag) is walked few times; keys of equal position stay together.
/// 4. The call ends where COUNT keys are found, or where so many were looked at that others want their turn.
/// The
///    next cursor is the first position not returned; behind the last slot it is zero.

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/server/resp/glob.h"
#include "ashlar/server/resp/handlers.h"
#include "ashlar/server/resp/keyspace.h"
#include "ashlar/server/resp/number.h"
#include "ashlar/server/resp/service.h"
#include "ashlar/server/resp/set_options.h"

namespace ashlar::resp {
namespace {

constexpr std::size_t slot_keys_max = 16'384;
constexpr std::size_t slot_bytes_max = 1 << 20;
constexpr std::size_t slot_share = 8;  // a call takes at least 1/8 of a slot
constexpr std::size_t looked_at_per_count =
    100;  // keys looked at for each asked for, before a call ends early

struct ScanRequest {
  ScanCursor cursor;
  std::size_t count = 10;
  std::string_view pattern = "*";
  bool strings_wanted = true;  // TYPE names another type, of which there is none
  kv::Durability durability = kv::Durability::durable;
};

struct ScanPage {
  std::vector<std::string> keys;
  ScanCursor next;
  std::size_t looked_at = 0;
};

/// The matching keys of one slot, those of the lowest positions where not all have room.
class SlotKeys {
 public:
  void add(std::uint64_t position, std::string_view key) {
    if (position >= bound_) return;
    entries_.push_back({position, std::string(key)});
    std::ranges::push_heap(entries_, {}, &Entry::position);
    bytes_ += sizeof(Entry) + key.size();
    lowest_ = std::min(lowest_, position);
    while ((entries_.size() > slot_keys_max || bytes_ > slot_bytes_max) &&
           entries_.front().position > lowest_) {
      bound_ = entries_.front().position;
      while (entries_.front().position == bound_) drop_highest();
    }
  }

  bool empty() const noexcept { return entries_.empty(); }

  /// Moves at least `wanted` keys, if there are as many, to the page. Returns the first position left behind,
  /// or nothing if the slot is done.
  std::optional<std::uint64_t> take(std::size_t wanted, std::vector<std::string>& page) {
    std::ranges::sort_heap(entries_, {}, &Entry::position);
    std::size_t end = std::min(std::max(wanted, entries_.size() / slot_share), entries_.size());
    while (end != 0 && end < entries_.size() && entries_[end].position == entries_[end - 1].position) ++end;
    for (std::size_t i = 0; i < end; ++i) page.push_back(std::move(entries_[i].key));
    if (end < entries_.size()) return entries_[end].position;
    return bound_ == none ? std::nullopt : std::optional(bound_);
  }
  void clear() noexcept {
    entries_.clear();
    bytes_ = 0;
    lowest_ = bound_ = none;
  }

 private:
  struct Entry {
    std::uint64_t position;
    std::string key;
  };
  static constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();

  void drop_highest() {
    bytes_ -= sizeof(Entry) + entries_.front().key.size();
    std::ranges::pop_heap(entries_, {}, &Entry::position);
    entries_.pop_back();
  }

  std::vector<Entry> entries_;  // a heap, the highest position first
  std::size_t bytes_ = 0;
  std::uint64_t lowest_ = none;
  std::uint64_t bound_ = none;  // positions from here on were dropped
};

/// Whether the call ends with this slot; if so, `page.next` is set.
bool finish_slot(const ScanRequest& request, ScanPage& page, SlotKeys& slot_keys, kv::Slot slot) {
  const std::size_t wanted = request.count - std::min(request.count, page.keys.size());
  const auto left = slot_keys.take(wanted, page.keys);
  slot_keys.clear();
  if (left) {
    page.next = {slot, *left};
    return true;
  }
  page.next = {kv::Slot{static_cast<std::uint16_t>(slot.value + 1)}, 0};
  return page.keys.size() >= request.count || page.looked_at / looked_at_per_count >= request.count;
}

/// Walks the slots from the cursor's to `end` in a partition that holds them all. On the partition's shard.
Task<Result<>> scan_slots(kv::Partition& partition, const ScanRequest& request, ScanPage& page,
                          std::uint32_t end) {
  const SlotRange range(page.next.slot.value, end, request.durability);
  const auto cursor = partition.scan(range.options());
  const ScanCursor start = page.next;
  SlotKeys slot_keys;
  kv::Slot slot = start.slot;
  while (CO_TRY(co_await cursor->next())) {
    const Bytes stored = cursor->item().key;
    if (kv::slot_of_stored(stored) != slot) {
      if (finish_slot(request, page, slot_keys, slot)) co_return Result<>{};
      slot = kv::slot_of_stored(stored);
    }
    ++page.looked_at;
    const std::uint64_t position = ScanCursor::position_of(kv::key_hash(stored));
    const std::string_view key = as_text(kv::user_key_of_stored(stored));
    const bool behind = slot == start.slot && position < start.position;
    if (!behind && request.strings_wanted && glob_match(request.pattern, key)) slot_keys.add(position, key);
    if (Shard::current().should_yield()) co_await yield();
  }
  finish_slot(request, page, slot_keys, slot);
  const bool slot_done = page.next.position == 0;  // what is left of a slot is never at position 0
  if (slot_done) page.next.slot = kv::Slot{static_cast<std::uint16_t>(end)};
  co_return Result<>{};
}

/// The end of the run of slots from `slot` on that belong to the same partition.
std::uint32_t run_end(const std::vector<kv::PartitionId>& slot_map, std::uint32_t slot) {
  std::uint32_t end = slot + 1;
  while (end < kv::slot_count && slot_map[end] == slot_map[slot]) ++end;
  return end;
}

bool parse(ServerCall& call, ScanRequest& request) {
  const auto number = parse_cursor(call.argument(1));
  if (!number) return call.fail("ERR invalid cursor"), false;
  request.cursor = ScanCursor::decode(*number);
  for (std::size_t i = 2; i < call.arguments.size(); i += 2) {
    const std::string_view word = call.argument(i);
    if (i + 1 == call.arguments.size()) return call.fail(syntax_error), false;
    const std::string_view value = call.argument(i + 1);
    if (is_keyword(word, "count")) {
      const auto count = parse_integer(value);
      if (!count) return call.fail(not_an_integer), false;
      if (*count < 1) return call.fail(syntax_error), false;
      request.count = std::min<std::size_t>(static_cast<std::size_t>(*count), slot_keys_max);
    } else if (is_keyword(word, "match")) {
      request.pattern = value;
    } else if (is_keyword(word, "type")) {
      request.strings_wanted = is_keyword(value, "string");
    } else {
      return call.fail(syntax_error), false;
    }
  }
  return true;
}

}  // namespace

Task<> scan_command(ServerCall& call) {
  ScanRequest request;
  if (!parse(call, request)) co_return;
  request.durability = call.service.durability();
  const auto& slot_map = call.service.store().partitioner().slot_map();
  ScanPage page{.keys = {}, .next = request.cursor};
  for (;;) {
    const std::uint32_t first = page.next.slot.value;
    if (first >= kv::slot_count) break;
    const std::uint32_t end = run_end(slot_map, first);
    const Place& place = call.service.places()[slot_map[first].value];
    const Result<> done =
        co_await invoke(place.home, [&] { return scan_slots(*place.partition, request, page, end); });
    if (!done) {
      call.fail(error_text(done.error()));
      co_return;
    }
    const bool enough =
        page.keys.size() >= request.count || page.looked_at / looked_at_per_count >= request.count;
    if (page.next.slot.value != end || page.next.position != 0 || enough) break;
  }
  std::array<char, 20> text;
  const bool over = page.next.slot.value >= kv::slot_count;
  const std::size_t digits = over
                                 ? format_integer(text.data(), 0)
                                 : format_integer(text.data(), static_cast<std::int64_t>(page.next.encode()));
  call.reply().array(2);
  call.reply().bulk({text.data(), digits});
  call.reply().array(page.keys.size());
  for (const std::string& key : page.keys) call.reply().bulk(key);
}

}  // namespace ashlar::resp

#include "ashlar/server/resp/key_call.h"

#include <algorithm>

namespace ashlar::resp {

static_assert(kv::user_key_bytes_max == 65532, "as key_too_long says");

/// A look-up of a command sees the newest version, durable or not: the reply waits for it instead, so that
/// the rest of the pipeline goes on.
static constexpr kv::ReadOptions newest{.durability = kv::Durability::none};

bool make_slots(const CommandSpec& spec, std::span<const std::string_view> arguments,
                std::vector<KeySlot>& slots) {
  slots.clear();
  const std::size_t count = key_count(spec, arguments.size());
  slots.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view key = arguments[key_index(spec, i)];
    if (key.size() > kv::user_key_bytes_max) return false;
    slots.emplace_back(key);
  }
  return true;
}

bool KeyCall::write(std::span<const kv::Write> writes) {
  if (across_ != nullptr) {
    for (const kv::Write& write : writes) across_->stage(write);
    return true;
  }
  if (transaction_ != nullptr) {
    for (const kv::Write& write : writes) {
      if (write.kind == kv::Kind::put) {
        transaction_->put(*write.key, write.value, write.expiry_ms);
      } else {
        transaction_->erase(*write.key);
      }
    }
    return true;
  }
  const Result<kv::Ticket> ticket = partition_->append(writes, durability_);
  if (!ticket) {
    fail(error_text(ticket.error()));
    return false;
  }
  ticket_ = *ticket;
  return true;
}

/// Runs the command's function and notes what its reply waits for: its own write, or the newest version it
/// saw.
void KeyRunner::call(const CommandSpec& spec, std::span<const std::string_view> arguments,
                     kv::Partition& partition, std::span<KeySlot> keys, kv::Sequence seen) {
  if ((spec.flags & CommandFlag::readonly) != 0) {
    for (const KeySlot& slot : keys) ++(slot.value ? stats_.hits : stats_.misses);
  }
  const std::size_t begin = stream_.out().size();
  ReplyWriter reply = stream_.writer(protocol_);
  KeyCall call(arguments, keys, reply, partition, durability_);
  if (remote_) call.copy_values();
  spec.run_keys(call);
  if (call.ticket()) {
    stream_.hold(begin, partition, *call.ticket());
  } else if (durability_ == kv::Durability::durable) {
    stream_.hold(begin, partition, kv::Ticket(partition, seen, durability_, false));
  }
}

bool KeyRunner::run_now(const CommandSpec& spec, std::span<const std::string_view> arguments,
                        kv::Partition& partition, std::span<KeySlot> keys) {
  if (is_locked(spec, partition, keys)) [[unlikely]]
    return false;
  kv::Sequence seen{};
  if (needs_values(spec, arguments.size())) {
    for (KeySlot& slot : keys) {
      kv::Get get = partition.get(slot.key, newest);
      if (!get.await_ready()) return false;
      auto found = get.await_resume();
      if (!found) {
        stream_.writer(protocol_).error(error_text(found.error()));
        return true;
      }
      slot.value = *std::move(found);
      seen = std::max(seen, get.seen());
    }
  }
  call(spec, arguments, partition, keys, seen);
  return true;
}

Task<> KeyRunner::run(const CommandSpec& spec, std::span<const std::string_view> arguments,
                      kv::Partition& partition, std::span<KeySlot> keys) {
  std::vector<kv::Read> reads(keys.size());
  std::vector<kv::Write> touched;
  for (const KeySlot& slot : keys) touched.push_back({.key = &slot.key, .value = {}});
  for (;;) {
    while (is_locked(spec, partition, keys)) (void)co_await partition.locks().writable(touched, never);
    const kv::Sequence begin = partition.last_sequence();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      keys[i].value.reset();
      reads[i] = kv::Read{.key = &keys[i].key, .options = newest};
    }
    co_await partition.multi_get(reads);
    const bool changed = std::ranges::any_of(
        keys, [&](const KeySlot& slot) { return partition.changed_since(slot.key.hash(), begin); });
    if (!changed && !is_locked(spec, partition, keys)) break;
  }
  kv::Sequence seen{};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!reads[i].result) {
      stream_.writer(protocol_).error(error_text(reads[i].result.error()));
      co_return;
    }
    keys[i].value = *std::move(reads[i].result);
    seen = std::max(seen, reads[i].seen);
  }
  call(spec, arguments, partition, keys, seen);
}

}  // namespace ashlar::resp

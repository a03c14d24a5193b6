#pragma once

/// Commands on keys, as they run on the shard that owns the keys.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/kv/store_transaction.h"
#include "ashlar/kv/transaction.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/server/resp/command_table.h"
#include "ashlar/server/resp/errors.h"
#include "ashlar/server/resp/reply_stream.h"

namespace ashlar::resp {

/// A key of a command, and what was found under it.
struct KeySlot {
  explicit KeySlot(std::string_view user_key) : key(user_key) {}
  kv::StoredKey key;
  std::optional<kv::Value> value;
};

/// The keys of a command, in order, in place of what was in `slots`. False where one is too long.
bool make_slots(const CommandSpec& spec, std::span<const std::string_view> arguments,
                std::vector<KeySlot>& slots);

/// Counters of one shard since it started.
struct KeyStats {
  std::uint64_t hits = 0, misses = 0;
};

/// One run of one command on keys of one partition, all values already looked up. Its function (run_keys)
/// does not suspend, so that reading, deciding and writing are one step: it looks at `keys`, writes, and
/// replies. Owner shard of the partition; lives as long as the run.
class KeyCall {
 public:
  KeyCall(std::span<const std::string_view> arguments, std::span<KeySlot> keys, ReplyWriter& reply,
          kv::Partition& partition, kv::Durability durability) noexcept
      : arguments_(arguments), keys_(keys), reply_(&reply), partition_(&partition), durability_(durability) {}
  /// Inside a transaction: writes join it, and reads were made through it.
  void join(kv::Transaction& transaction) noexcept { transaction_ = &transaction; }
  void join(kv::StoreTransaction& transaction) noexcept { across_ = &transaction; }
  /// The reply leaves for another shard, where the pin of a value must not be released: values are copied.
  void copy_values() noexcept { may_pin_ = false; }
  bool may_pin() const noexcept { return may_pin_; }

  std::span<const std::string_view> arguments() const noexcept { return arguments_; }
  std::string_view argument(std::size_t index) const noexcept { return arguments_[index]; }
  std::span<KeySlot> keys() noexcept { return keys_; }
  KeySlot& key() noexcept { return keys_[0]; }
  ReplyWriter& reply() noexcept { return *reply_; }
  /// Wall clock, milliseconds since 1970; the one that decides what has expired.
  std::uint64_t now_ms() const noexcept {
    if (across_ != nullptr) return across_->now_ms();
    return transaction_ != nullptr ? transaction_->now_ms() : Shard::current().backend().wall_ms();
  }
  /// Longest string a command may make, in bytes.
  static constexpr std::size_t string_bytes_max = kv::value_bytes_max;

  /// Orders the write. False: it failed, and the error is the reply; the command is over.
  bool put(const KeySlot& slot, std::string_view value, std::uint64_t expiry_ms = kv::no_expiry) {
    return write(
        {{.key = &slot.key, .value = as_bytes(value), .kind = kv::Kind::put, .expiry_ms = expiry_ms}});
  }
  bool erase(const KeySlot& slot) {
    return write({{.key = &slot.key, .value = {}, .kind = kv::Kind::erase}});
  }
  /// All or nothing; at most one write for each key.
  bool write(std::span<const kv::Write> writes);
  bool write(std::initializer_list<kv::Write> writes) {
    return write(std::span(writes.begin(), writes.size()));
  }

  void fail(std::string_view error) { reply_->error(error); }

  /// The last write's, if there was one.
  const std::optional<kv::Ticket>& ticket() const noexcept { return ticket_; }

 private:
  std::span<const std::string_view> arguments_;
  std::span<KeySlot> keys_;
  ReplyWriter* reply_;
  kv::Partition* partition_;
  kv::Transaction* transaction_ = nullptr;
  kv::StoreTransaction* across_ = nullptr;
  kv::Durability durability_;
  bool may_pin_ = true;
  std::optional<kv::Ticket> ticket_;
};

/// Whether the command decides by what is stored; one that does not skips the look-up.
inline bool needs_values(const CommandSpec& spec, std::size_t argument_count) noexcept {
  return spec.blind_at != any_count && static_cast<std::size_t>(spec.blind_at) != argument_count;
}

/// Whether a transaction across partitions keeps the command from writing now.
inline bool is_locked(const CommandSpec& spec, const kv::Partition& partition,
                      std::span<const KeySlot> keys) noexcept {
  if (partition.locks().empty() || (spec.flags & CommandFlag::write) == 0) [[likely]]
    return false;
  for (const KeySlot& slot : keys) {
    if (!partition.locks().free(slot.key)) return true;
  }
  return false;
}

/// How the commands of one connection's batch run on the shard that owns their partitions, and reply into one
/// stream. Owner: that shard. Its durability is that of writes, and of what reads may show.
class KeyRunner {
 public:
  /// `remote`: the stream leaves for another shard.
  KeyRunner(ReplyStream& stream, Protocol protocol, kv::Durability durability, KeyStats& stats,
            bool remote = false) noexcept
      : stream_(stream), protocol_(protocol), durability_(durability), remote_(remote), stats_(stats) {}

  /// Runs the command if memory has what it reads: true. Otherwise false, and nothing has happened.
  bool run_now(const CommandSpec& spec, std::span<const std::string_view> arguments, kv::Partition& partition,
               std::span<KeySlot> keys);
  /// Runs it whatever it takes. Everything referred to must outlive the task.
  Task<> run(const CommandSpec& spec, std::span<const std::string_view> arguments, kv::Partition& partition,
             std::span<KeySlot> keys);

 private:
  void call(const CommandSpec& spec, std::span<const std::string_view> arguments, kv::Partition& partition,
            std::span<KeySlot> keys, kv::Sequence seen);

  ReplyStream& stream_;
  Protocol protocol_;
  kv::Durability durability_;
  bool remote_;
  KeyStats& stats_;
};

}  // namespace ashlar::resp

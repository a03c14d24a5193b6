#pragma once

/// Reads of a partition: snapshots, values, look-ups in flight, cursors.

#include <cstdint>
#include <optional>

#include "ashlar/base/intrusive_list.h"
#include "ashlar/base/result.h"
#include "ashlar/kv/key.h"
#include "ashlar/kv/pin.h"
#include "ashlar/kv/receipt.h"
#include "ashlar/kv/ticket.h"
#include "ashlar/runtime/shard/shard_id.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::kv {

class Partition;

class StoreClock;

/// A point in the history of a partition, or of every partition of a store: its sequence and its "now". Keeps
/// what it sees from being dropped. Begun and ended on one shard: that of its partition, or any one for a
/// snapshot of a store, which reads on every shard may then refer to. Ends before its partition or store is
/// closed.
class Snapshot : public ListHook<> {
 public:
  explicit Snapshot(Partition& partition);
  /// Of the whole store: sees everything that was acknowledged before, in whichever partition.
  explicit Snapshot(StoreClock& clock);
  ~Snapshot();

  Sequence sequence() const noexcept { return sequence_; }
  std::uint64_t now_ms() const noexcept { return now_ms_; }

 private:
  friend class StoreClock;
  Partition* partition_ = nullptr;
  StoreClock* clock_ = nullptr;
  ShardId home_;
  Sequence sequence_;
  std::uint64_t now_ms_;
};

struct ReadOptions {
  Durability durability = Durability::durable;
  const Snapshot* snapshot = nullptr;  ///< null: the newest state
  std::uint64_t now_ms = 0;            ///< what has expired is judged at this time; 0: the wall clock
  /// `timed_out` where it passes while the device is read or durability waited for. A read of the device that
  /// is under way goes on without the reader. A scan looks at it before each read of the device.
  Instant deadline = never;
  bool fill_cache = true;      ///< what must be read from the device may take the place of cached data
  Receipt* receipt = nullptr;  ///< what it cost is added here
};

/// A value found. `bytes` stay valid as long as `pin` is held, whatever is written meanwhile.
struct Value {
  Bytes bytes;
  std::uint64_t expiry_ms = no_expiry;
  Sequence sequence;
  Pin pin;
};

/// One look-up in flight; what the awaiters below are made of. Lives in the caller's frame.
struct Read {
  const StoredKey* key = nullptr;  ///< must live until the read is done
  ReadOptions options;
  Result<std::optional<Value>> result{std::nullopt};
  Sequence seen{};       ///< sequence of the version that decided, tombstones too; zero where there is none
  bool settled = false;  ///< result is valid
};

enum class Direction : std::uint8_t { forward, backward };

struct ScanOptions {
  Bytes first = {};  ///< stored form, included; empty: from the beginning
  Bytes last = {};   ///< stored form, excluded; empty: to the end
  Direction direction = Direction::forward;
  ReadOptions read = {};  ///< the snapshot, if any, must outlive the cursor
  Bytes prefix = {};      ///< stored form: only keys that begin with it
  std::uint64_t limit =
      0;  ///< a hint: how many items will be asked for, so that no more is read ahead; 0: unknown
};

/// Walks the live keys of a range in order, each once, at one point in time. Owner shard only; must end
/// before its partition is closed. `bool more = CO_TRY(co_await cursor->next());`
class Cursor {
 public:
  struct Item {
    Bytes key;  ///< stored form
    Bytes value;
    std::uint64_t expiry_ms = no_expiry;
    Sequence sequence;
  };

  virtual ~Cursor() = default;

  /// Goes on from elsewhere in its range, at the same point in time: next() is the first key at or after
  /// `key` (stored form), or, of a cursor that walks backward, the last one below it. Empty: as at first.
  virtual void seek(Bytes key) = 0;

  /// Valid until the next next().
  const Item& item() const noexcept { return item_; }

  class Next {
   public:
    explicit Next(Cursor& cursor) noexcept : cursor_(cursor) {}
    bool await_ready() noexcept { return cursor_.advance(result_); }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> suspended) {
      miss_ = cursor_.fetch();
      return miss_.operator co_await().await_suspend(suspended);
    }
    /// True: item() is the next key. False: the range is exhausted.
    Result<bool> await_resume() { return miss_ ? miss_.operator co_await().await_resume() : result_; }

   private:
    Cursor& cursor_;
    Result<bool> result_{false};
    Task<Result<bool>> miss_;
  };
  Next next() noexcept { return Next(*this); }

 protected:
  /// Moves on where memory suffices: false where it does not, and fetch() must finish the same step.
  virtual bool advance(Result<bool>& result) noexcept = 0;
  virtual Task<Result<bool>> fetch() = 0;

  Item item_;
};

/// What a look-up outside the owner shard found, as a view that is valid inside the caller's epoch only.
struct Peek {
  bool present = false;
  Bytes value;
  std::uint64_t expiry_ms = no_expiry;
  Sequence sequence;
};

}  // namespace ashlar::kv

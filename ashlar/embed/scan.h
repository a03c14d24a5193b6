#pragma once

/// An iterator's work: a cursor on one partition's shard at a time, and a chunk of what it found, here. Of a
/// transaction: one scan over all partitions, on the transaction's shard.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/embed/engine.h"
#include "ashlar/embed/iterator.h"
#include "ashlar/embed/snapshot_state.h"
#include "ashlar/kv/store_transaction.h"

namespace ashlar::embed {

class OpenTransaction;

/// Owner: the iterator's thread. Keys are in stored form throughout, so that one code walks databases that
/// are partitioned by range and by hash.
class Scan {
 public:
  Scan(std::shared_ptr<Engine> engine, const IterateOptions& options);
  Scan(std::shared_ptr<Engine> engine, std::shared_ptr<OpenTransaction> transaction, ShardId shard,
       const IterateOptions& options);
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;
  ~Scan();
  /// Takes the snapshot, where the options have none, and checks the bounds.
  Result<> start();

  bool seek_first() { return begin(kv::Direction::forward, range_.first); }
  bool seek_last() { return begin(kv::Direction::backward, range_.end); }
  bool seek(std::string_view key, kv::Direction direction);
  bool step(kv::Direction direction);

  bool valid() const noexcept { return at_ < chunk_.items.size(); }
  const Result<>& status() const noexcept { return status_; }
  std::string_view stored_key() const noexcept {
    return std::string_view(chunk_.text).substr(item().begin, item().key_bytes);
  }
  std::string_view value() const noexcept {
    return std::string_view(chunk_.text).substr(item().begin + item().key_bytes, item().value_bytes);
  }
  std::uint64_t expiry_ms() const noexcept { return item().expiry_ms; }
  void set_deadline(Deadline deadline) noexcept { read_.deadline = deadline; }

 private:
  struct Item {
    std::size_t begin, key_bytes, value_bytes;  // in the text
    std::uint64_t expiry_ms;
  };
  struct Chunk {
    std::string text;
    std::vector<Item> items;
    bool last = false;  // of its partition
  };
  /// The cursor, on the partition's shard. It may outlive the scan, by a message.
  struct Walker final : Guest {
    explicit Walker(Receipt* receipt) noexcept : cost(receipt) {}
    Cost cost;
    std::unique_ptr<kv::Cursor> cursor;
    std::unique_ptr<kv::StoreScan> of_transaction;
    void release() noexcept override {
      cursor.reset();
      of_transaction.reset();
    }
  };

  const Item& item() const noexcept { return chunk_.items[at_]; }
  bool begin(kv::Direction direction, std::string from);
  bool fill();
  bool advance_partition() noexcept;
  bool fail_with(const Error& error);
  void dismiss() noexcept;
  ShardId shard() const noexcept;
  bool full() const noexcept;
  void add(Bytes key, Bytes value, std::uint64_t expiry_ms);
  Task<Result<>> read_chunk();
  Task<Result<>> read_transaction();
  void open_cursor();

  const std::shared_ptr<Engine> engine_;
  const std::shared_ptr<OpenTransaction> transaction_;  // null: of the database
  const ShardId transaction_shard_{};
  ReadOptions read_;
  std::optional<Snapshot> own_snapshot_;
  const StoredRange range_;
  Result<> status_;

  kv::Direction direction_ = kv::Direction::forward;
  std::string from_;  // forward: first key, included; backward: end, excluded
  std::uint32_t partition_ = 0;
  std::shared_ptr<Walker> walker_;
  Chunk chunk_;
  std::size_t at_ = 0;
  std::size_t chunk_entries_ = 0;  // how many at most next time
};

}  // namespace ashlar::embed

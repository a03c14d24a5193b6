#pragma once

/// A store in memory for tests of the commands: each partition a map, durable when the test says so, and able
/// to pretend that a key is on a device or that its log has failed.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ashlar/kv/store.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::resp::testing {

class TestPartition final : public kv::Partition {
 public:
  ~TestPartition() override = default;

  bool hold_durability = false;     // appends stay undurable until make_durable()
  std::set<std::string> on_device;  // user keys whose next look-up suspends
  std::optional<Error> refuse;      // what append() says
  std::size_t appends = 0;
  std::uint64_t now = 1'700'000'000'000;

  void make_durable() { settle(last_sequence()); }
  void fail_log() { stop(Error{Errc::io, 5, "log write", 1, 4096}); }

  std::unique_ptr<kv::Cursor> scan(const kv::ScanOptions& options) override {
    return std::make_unique<MapCursor>(*this, options);
  }
  using kv::Partition::append;
  Result<kv::Ticket> append(std::span<const kv::Write> writes, const kv::WriteOptions& options) override {
    if (refuse) return std::unexpected(*refuse);
    if (stop_reason()) return fail(Errc::stopped, "append");
    if (writes.empty()) return kv::Ticket();
    if (locks().blocks(writes)) return fail(Errc::busy, "append");
    ++appends;
    const kv::Sequence sequence = next_sequence();
    apply(writes, sequence);
    appended(sequence, writes);
    if (!hold_durability) settle(sequence);
    return kv::Ticket(*this, sequence, options.durability);
  }
  kv::Sequence reserve(kv::Sequence seen) noexcept override {
    clock_.observe(seen);
    return next_sequence();
  }
  Result<kv::Ticket> prepare(const kv::Prepare& part) override {
    if (refuse) return std::unexpected(*refuse);
    if (stop_reason()) return fail(Errc::stopped, "prepare");
    clock_.observe(part.id.sequence);
    const kv::Sequence sequence = next_sequence();
    appended(sequence, {});
    if (!hold_durability) settle(sequence);
    return kv::Ticket(*this, sequence, kv::Durability::durable, false);
  }
  Result<kv::Ticket> decide(const kv::Prepare& part, kv::Outcome outcome) override {
    if (outcome == kv::Outcome::aborted) return kv::Ticket();
    ++appends;
    apply(part.writes, part.id.sequence);
    revealed(part.writes, part.id.sequence);
    locks().unlock_all(part.id.number);
    return kv::Ticket();
  }
  /// As the partitions of one store do.
  void use(kv::StoreClock& clock) {
    store_clock_ = &clock;
    keep_for(clock);
  }
  bool peek(const kv::StoredKey&, kv::Durability, kv::Peek&) const noexcept override { return false; }
  std::uint64_t now_ms() const noexcept override { return now; }
  kv::PartitionStats stats() const noexcept override { return {.memtable_entries = entries_.size()}; }

 protected:
  bool look_up(kv::Read& read) noexcept override {
    if (on_device.contains(std::string(as_text(read.key->user_key())))) return false;
    if (locks().hides(*read.key, kv::sequence_max)) return false;
    find(read);
    return true;
  }
  Task<> look_up_on_device(kv::Read& read) override {
    (void)co_await locks().visible(*read.key, kv::sequence_max);
    co_await yield();
    on_device.erase(std::string(as_text(read.key->user_key())));
    find(read);
  }
  Task<> look_up_on_device(std::span<kv::Read> reads) override {
    co_await yield();
    for (kv::Read& read : reads) {
      (void)co_await locks().visible(*read.key, kv::sequence_max);
      on_device.erase(std::string(as_text(read.key->user_key())));
      find(read);
    }
  }
  void hurry(kv::Sequence) noexcept override {}

 private:
  struct Entry {
    kv::Kind kind;
    std::string value;
    std::uint64_t expiry_ms;
    kv::Sequence sequence;
  };
  /// Keeps one version alive while a value refers to it.
  struct Held final : kv::Pinnable {
    explicit Held(std::shared_ptr<Entry> held) : entry(std::move(held)) {}
    std::shared_ptr<Entry> entry;
    void released() noexcept override { delete this; }
  };

  kv::Sequence next_sequence() {
    const kv::Sequence sequence =
        store_clock_ != nullptr ? store_clock_->next(clock_.last()) : clock_.next(now);
    clock_.observe(sequence);
    return sequence;
  }
  void apply(std::span<const kv::Write> writes, kv::Sequence sequence) {
    for (const kv::Write& write : writes) {
      if (write.kind == kv::Kind::clear) {
        entries_.clear();
        continue;
      }
      Entry entry{write.kind, std::string(as_text(write.value)), write.expiry_ms, sequence};
      entries_.insert_or_assign(std::string(as_text(write.key->bytes())),
                                std::make_shared<Entry>(std::move(entry)));
    }
  }
  /// The newest version, whatever the snapshot: none of the commands looks back.
  void find(kv::Read& read) {
    read.settled = true;
    read.result = std::nullopt;
    const auto at = entries_.find(std::string(as_text(read.key->bytes())));
    if (at == entries_.end()) return;
    const Entry& entry = *at->second;
    read.seen = entry.sequence;
    if (kv::is_absent(entry.kind, entry.expiry_ms, now)) return;
    auto* held = new Held(at->second);
    read.result = kv::Value{as_bytes(entry.value), entry.expiry_ms, entry.sequence, kv::Pin(*held)};
  }

  class MapCursor final : public kv::Cursor {
   public:
    MapCursor(TestPartition& partition, const kv::ScanOptions& options)
        : partition_(partition), entries_(partition.entries_), last_(as_text(options.last)) {
      at_ = entries_.lower_bound(std::string(as_text(options.first)));
    }
    void seek(Bytes key) override { at_ = entries_.lower_bound(std::string(as_text(key))); }

   protected:
    bool advance(Result<bool>& result) noexcept override {
      for (; at_ != entries_.end() && (last_.empty() || at_->first < last_); ++at_) {
        const Entry& entry = *at_->second;
        if (kv::is_absent(entry.kind, entry.expiry_ms, partition_.now)) continue;
        item_ = {as_bytes(at_->first), as_bytes(entry.value), entry.expiry_ms, entry.sequence};
        ++at_;
        result = true;
        return true;
      }
      result = false;
      return true;
    }
    Task<Result<bool>> fetch() override { co_return false; }

   private:
    TestPartition& partition_;
    std::map<std::string, std::shared_ptr<Entry>> entries_;  // as they were when the scan began
    std::string last_;
    std::map<std::string, std::shared_ptr<Entry>>::iterator at_;
  };

  std::map<std::string, std::shared_ptr<Entry>> entries_;
  kv::SequenceClock clock_;
  kv::StoreClock* store_clock_ = nullptr;
};

class TestStore final : public kv::Store {
 public:
  explicit TestStore(std::uint32_t partitions) : partitioner_(kv::Partitioner::hashed(partitions)) {
    for (std::uint32_t i = 0; i < partitions; ++i) partitions_.push_back(std::make_unique<TestPartition>());
  }
  kv::StoreDescription describe() const noexcept override {
    return {"test", true, kv::Partitioner::Scheme::hash, static_cast<std::uint32_t>(partitions_.size())};
  }
  const kv::Partitioner& partitioner() const noexcept override { return partitioner_; }
  ShardId home_of(kv::PartitionId) const noexcept override { return ShardId(0); }
  TestPartition& partition(kv::PartitionId id) noexcept override { return *partitions_[id.value]; }
  /// Made when it is first asked for: on a shard.
  kv::StoreClock& clock() noexcept override {
    if (clock_ == nullptr) {
      clock_ = std::make_unique<kv::StoreClock>(Shard::current().id().value + 1u);
      for (const auto& partition : partitions_) {
        clock_->raise(partition->last_sequence());
        partition->use(*clock_);
      }
    }
    return *clock_;
  }
  Task<Result<>> close() override { co_return Result<>{}; }

 private:
  kv::Partitioner partitioner_;
  std::unique_ptr<kv::StoreClock> clock_;
  std::vector<std::unique_ptr<TestPartition>> partitions_;
};

}  // namespace ashlar::resp::testing

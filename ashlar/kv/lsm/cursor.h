#pragma once

/// A scan of one partition at one point in time.

#include "ashlar/kv/lsm/key_rules.h"
#include "ashlar/kv/lsm/merge.h"
#include "ashlar/kv/lsm/operands.h"
#include "ashlar/kv/lsm/version.h"
#include "ashlar/kv/partition.h"

namespace ashlar::lsm {

/// What of the merged versions a reader sees: the newest version of each key at or below `at`, unless it is
/// absent.
///
/// Forward, the first version at or below `at` decides, and further ones of that key are passed over; where
/// it is a merge operand they are gathered down to the base. Backward, versions come oldest first: the last
/// one at or below `at` before the key changes decides, so it is copied until then, with the operands on top
/// of it.
class LsmCursor final : public kv::Cursor {
 public:
  /// `at`, `now_ms`: what the reader sees. Holds the version.
  LsmCursor(kv::Partition& partition, const KeyRuleTable& rules, VersionRef version,
            const kv::ScanOptions& options, Sequence at, std::uint64_t now_ms);

  void seek(Bytes key) override;

  /// Of the item: its value is a reference.
  bool separated() const noexcept { return separated_; }
  const Version& version() const noexcept { return *version_; }

 protected:
  friend class ValueCursor;
  bool advance(Result<bool>& result) noexcept override;
  Task<Result<bool>> fetch() override;

 private:
  enum class Step : std::uint8_t { item, end, need_blocks, need_base, failed };

  Step walk();
  Step walk_forward();
  Step walk_backward();
  bool within(Bytes key) const noexcept;
  bool hidden(const Entry& entry) const noexcept;
  bool visible(const Entry& entry) noexcept;
  void show(const Entry& entry) noexcept;
  void keep(const Entry& entry);
  void gather(const Entry& operand);
  bool gather_older(const Entry& entry);
  Step show_merged(std::optional<Bytes> base);
  Step show_merged_onto(const Entry& base);
  Task<Result<>> load_base();
  Step show_kept();
  Result<bool> outcome() const { return step_ == Step::failed ? failure_ : step_ == Step::item; }
  bool must_wait() const noexcept;

  kv::Partition& partition_;
  const KeyRuleTable& rules_;
  VersionRef version_;
  Direction direction_;
  kv::Durability durability_;
  Instant deadline_;
  kv::Receipt* receipt_;
  Sequence at_;
  std::uint64_t now_ms_;
  std::vector<std::byte> first_, last_;  // the range
  std::vector<std::byte> from_;          // where the walk begins in it
  Merge merge_;
  MemoryCharge charge_;    // of the cursor and its sources
  Sequence seen_;          // newest version that decided anything shown so far, absence too
  Step step_ = Step::end;  // the last one
  bool started_ = false;
  bool stepped_ = true;            // forward: the merge has left the entry last shown
  std::vector<std::byte> passed_;  // forward: key whose further versions are passed over
  KeyHead passed_head_;
  std::vector<std::byte> kept_key_, kept_value_;
  KeyHead kept_head_;
  Entry kept_;  // backward: the newest version so far of the key being walked
  bool keeping_ = false;
  Operands operands_;            // that decide, without their base
  bool gathering_ = false;       // forward: the base of passed_ is still to come
  bool kept_is_base_ = false;    // backward: kept_value_ is what the operands go onto
  Kind kept_kind_ = Kind::put;   // backward: of what kept_value_ is the value
  std::vector<std::byte> base_;  // in state need_base: the reference to it
  bool separated_ = false;
  std::vector<std::byte> merged_;
  Result<bool> failure_{false};
};

/// A scan whose range has keys that wait for the outcome of a transaction: begins once it is known.
class LateCursor final : public kv::Cursor {
 public:
  LateCursor(kv::Partition& partition, const kv::ScanOptions& options);
  void seek(Bytes key) override;

 private:
  bool advance(Result<bool>&) noexcept override { return false; }
  Task<Result<bool>> fetch() override;

  kv::Partition& partition_;
  kv::ScanOptions options_;
  std::vector<std::byte> first_, last_, prefix_;
  std::optional<std::vector<std::byte>> sought_;  // before it has begun
  std::unique_ptr<kv::Cursor> cursor_;
};

/// What a partition that is closed has to show.
class ClosedCursor final : public kv::Cursor {
 public:
  void seek(Bytes) override {}

 private:
  bool advance(Result<bool>& result) noexcept override {
    result = fail(Errc::closed, "scan");
    return true;
  }
  Task<Result<bool>> fetch() override { co_return fail(Errc::closed, "scan"); }
};

}  // namespace ashlar::lsm

#pragma once

/// Which versions a flush or compaction keeps, and what it makes of merge operands. Rules:
/// docs/formats/key.md, "What flush and compaction may drop".

#include <functional>
#include <span>
#include <vector>

#include "ashlar/kv/lsm/key_rules.h"
#include "ashlar/kv/lsm/operands.h"
#include "ashlar/kv/lsm/range_set.h"

namespace ashlar::lsm {

/// What live readers may still look at.
struct Horizon {
  Sequence oldest;              ///< no snapshot is older
  std::uint64_t oldest_now_ms;  ///< no snapshot has an earlier "now"
  Sequence cleared;             ///< entries below are absent to every reader; zero: nothing was cleared
  std::shared_ptr<const RangeSet> ranges = {};  ///< erased ranges; null: none
  Sequence ranges_at = {};                      ///< those up to here hold for every reader

  /// Entries of `key` below it are absent to every reader.
  Sequence erased_below(Bytes key) const noexcept {
    return ranges == nullptr ? cleared : std::max(cleared, ranges->covering(key, ranges_at));
  }
};

/// Takes versions one by one, in the order of tables (keys ascending, the newest version of a key first), and
/// says what is to be written, in that order too. One user; its arguments outlive it.
class Retention {
 public:
  /// `nothing_older`: whether no deeper table can hold the key.
  using NothingOlder = std::function<bool(Bytes key)>;

  Retention(const Horizon& horizon, const KeyRuleTable& rules, const NothingOlder& nothing_older) noexcept
      : horizon_(horizon), rules_(rules), nothing_older_(nothing_older) {}

  /// Whether take() could merge operands onto the value that this entry refers to, were it a put that has it.
  bool wants_value(const Entry& entry) const noexcept {
    return folding_ && entry.kind == Kind::separated && equal(entry.key, fold_key_);
  }
  /// The next version. kept() is what follows from it, perhaps of the key before.
  void take(const Entry& entry);
  /// There are no more; kept() is what is left.
  void finish();
  /// Valid until the next call, and as long as the entry just taken.
  std::span<const Entry> kept() const noexcept { return {kept_.data(), kept_count_}; }

 private:
  void keep(const Entry& entry) noexcept { kept_[kept_count_++] = entry; }
  void begin_fold(const Entry& operand);
  void fold(const Entry& older, bool covered);
  void keep_operands();
  bool merge_onto(std::optional<Bytes> base);
  void end_key();
  const kv::MergeOperator* merge_operator() const noexcept { return rules_[fold_key_].merge_operator; }

  Horizon horizon_;
  const KeyRuleTable& rules_;
  const NothingOlder& nothing_older_;
  std::array<Entry, 3> kept_;  // the end of one key, and of the next one version at most
  std::size_t kept_count_ = 0;

  std::vector<std::byte> key_;
  bool has_key_ = false;
  bool settled_ = false;  // the version that the oldest reader sees has come by
  Sequence erased_below_;
  Sequence last_;

  bool folding_ = false;  // operands of fold_key_ wait for what is older
  Operands operands_{Operands::Walk::newest_first};
  Sequence fold_sequence_;  // of the newest
  std::uint64_t fold_expiry_ms_ = no_expiry;
  std::vector<std::byte> fold_key_, folded_;
};

}  // namespace ashlar::lsm

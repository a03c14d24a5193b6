#pragma once

/// Which versions a flush or compaction keeps. Rules: docs/formats/key.md, "What flush and compaction may
/// drop".

#include <vector>

#include "ashlar/kv/lsm/key.h"

namespace ashlar::lsm {

/// What live readers may still look at.
struct Horizon {
  Sequence oldest;              ///< no snapshot is older
  std::uint64_t oldest_now_ms;  ///< no snapshot has an earlier "now"
  Sequence cleared;             ///< entries below are absent to every reader; zero: nothing was cleared
};

/// Judges versions one by one, in the order of tables: keys ascending, the newest version of a key first.
class Retention {
 public:
  enum class Verdict : std::uint8_t { keep, keep_as_erase, drop };

  explicit Retention(const Horizon& horizon) noexcept : horizon_(horizon) {}

  /// `nothing_older`: called where it matters; true where no deeper table can hold the key.
  template <class NothingOlder>
  Verdict judge(const Entry& entry, NothingOlder&& nothing_older) {
    new_key_ = !has_key_ || !equal(entry.key, key_);
    if (new_key_) {
      key_.assign(entry.key.begin(), entry.key.end());
      has_key_ = true;
      settled_ = false;
    } else if (settled_ || entry.sequence == last_) {
      return Verdict::drop;  // every reader sees a newer one, or the batch itself wrote the key again
    }
    last_ = entry.sequence;
    if (entry.sequence < horizon_.cleared) return Verdict::drop;
    if (entry.sequence > horizon_.oldest) return Verdict::keep;
    settled_ = true;
    if (!is_absent(entry, horizon_.oldest_now_ms)) return Verdict::keep;
    if (nothing_older(entry.key)) return Verdict::drop;
    return entry.kind == Kind::erase ? Verdict::keep : Verdict::keep_as_erase;
  }

  /// Whether the entry judged last is the first of its key.
  bool is_new_key() const noexcept { return new_key_; }

 private:
  Horizon horizon_;
  std::vector<std::byte> key_;
  bool has_key_ = false;
  bool new_key_ = false;
  bool settled_ = false;  // the version that the oldest reader sees has come by
  Sequence last_;
};

}  // namespace ashlar::lsm

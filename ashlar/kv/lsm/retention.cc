/// Merge operands that every reader sees alike are folded:
///
///  1. The newest of them begins a fold and waits.
///  2. An older operand of the key joins it; a put or an absence ends it with a merged put; so does the end
///  of
///     the key where nothing older can be.
///  3. Where that cannot be (the older one expires first, the operator fails, the key goes on in deeper
///  tables,
///     the value is not at hand) the operands are kept, as one entry, and what is older follows.

#include "ashlar/kv/lsm/retention.h"

namespace ashlar::lsm {

namespace {

/// Whether what is older may become part of what is newer: nobody will see the newer without it.
bool expires_not_before(std::uint64_t older_ms, std::uint64_t newer_ms) noexcept {
  return older_ms == no_expiry || (newer_ms != no_expiry && newer_ms <= older_ms);
}

/// An entry whose value is `folded`. Its key goes behind that: the next fold may begin before it is written.
Entry folded_entry(std::vector<std::byte>& folded, Bytes key, Sequence sequence, Kind kind,
                   std::uint64_t expiry_ms) {
  const std::size_t value_bytes = folded.size();
  folded.insert(folded.end(), key.begin(), key.end());
  return {.key = Bytes(folded).subspan(value_bytes),
          .sequence = sequence,
          .kind = kind,
          .expiry_ms = expiry_ms,
          .value = Bytes(folded).first(value_bytes)};
}

}  // namespace

void Retention::take(const Entry& entry) {
  kept_count_ = 0;
  if (!has_key_ || !equal(entry.key, key_)) {
    end_key();
    key_.assign(entry.key.begin(), entry.key.end());
    has_key_ = true;
    settled_ = false;
    erased_below_ = horizon_.erased_below(entry.key);
  } else if (settled_ || entry.sequence == last_) {
    return;  // every reader sees a newer one, or the batch itself wrote the key again
  }
  last_ = entry.sequence;
  const bool covered = entry.sequence < erased_below_;
  if (folding_) return fold(entry, covered);
  if (covered) return;
  if (entry.sequence > horizon_.oldest) return keep(entry);
  if (is_absent(entry, horizon_.oldest_now_ms)) {
    settled_ = true;
    if (nothing_older_(entry.key)) return;
    return keep({.key = entry.key, .sequence = entry.sequence, .kind = Kind::erase, .value = {}});
  }
  if (entry.kind == Kind::merge) return begin_fold(entry);
  settled_ = true;
  keep(entry);
}

void Retention::finish() {
  kept_count_ = 0;
  end_key();
  has_key_ = false;
}

void Retention::begin_fold(const Entry& operand) {
  folding_ = true;
  operands_.clear();
  operands_.add(operand.value);
  fold_sequence_ = operand.sequence;
  fold_expiry_ms_ = operand.expiry_ms;
  fold_key_.assign(operand.key.begin(), operand.key.end());
}

void Retention::fold(const Entry& older, bool covered) {
  const bool absent = covered || is_absent(older, horizon_.oldest_now_ms);
  const bool joins = absent || expires_not_before(older.expiry_ms, fold_expiry_ms_);
  if (!absent && older.kind == Kind::merge) {
    if (joins && operands_.bytes() + older.value.size() <= kv::value_bytes_max)
      return operands_.add(older.value);
    keep_operands();
    return begin_fold(older);
  }
  settled_ = true;
  folding_ = false;
  const bool at_hand = absent || older.kind == Kind::put;
  if (joins && at_hand && merge_onto(absent ? std::nullopt : std::optional(older.value))) return;
  keep_operands();
  if (!absent) return keep(older);
  if (covered || nothing_older_(older.key)) return;
  keep({.key = older.key, .sequence = older.sequence, .kind = Kind::erase, .value = {}});
}

void Retention::keep_operands() {
  operands_.combine(merge_operator(), fold_key_, folded_);
  keep(folded_entry(folded_, fold_key_, fold_sequence_, Kind::merge, fold_expiry_ms_));
}

bool Retention::merge_onto(std::optional<Bytes> base) {
  if (!operands_.merge(merge_operator(), fold_key_, base, folded_)) return false;
  keep(folded_entry(folded_, fold_key_, fold_sequence_, Kind::put, fold_expiry_ms_));
  return true;
}

void Retention::end_key() {
  if (!std::exchange(folding_, false)) return;
  if (nothing_older_(fold_key_) && merge_onto(std::nullopt)) return;
  keep_operands();
}

}  // namespace ashlar::lsm

#pragma once

/// Erased ranges as readers ask for them: which of them covers this key? Rules: docs/formats/key.md, "Erased
/// ranges".

#include <memory>
#include <string>
#include <vector>

#include "ashlar/kv/key_range.h"
#include "ashlar/kv/lsm/key.h"

namespace ashlar::lsm {

/// One erase of a range, as it was written.
struct ErasedRange {
  std::string first;  ///< stored form, included
  std::string end;    ///< excluded; empty: the end of all keys
  Sequence sequence;

  bool covers(Bytes key) const noexcept {
    return compare(as_bytes(first), key) <= 0 && (end.empty() || compare(key, as_bytes(end)) < 0);
  }
  /// Whether it shares keys with [smallest, largest], both included.
  bool meets(Bytes smallest, Bytes largest) const noexcept {
    return compare(as_bytes(first), largest) <= 0 && (end.empty() || compare(smallest, as_bytes(end)) < 0);
  }
  bool covers(const kv::KeyRange& keys) const noexcept {
    return first <= keys.first && (end.empty() || (!keys.end.empty() && end >= keys.end));
  }
  bool operator==(const ErasedRange&) const = default;
};

/// Whether these are the bounds of a range that may be erased.
inline bool is_range(Bytes first, Bytes end) noexcept {
  return !first.empty() && first.size() <= kv::stored_key_bytes_max &&
         end.size() <= kv::stored_key_bytes_max && (end.empty() || compare(first, end) < 0);
}

/// All erased ranges of a partition, cut at their borders into fragments: between two borders the same ranges
/// cover every key. Immutable once made: any thread reads what a version holds, inside an epoch.
class RangeSet {
 public:
  /// O(n log n + fragments). The ranges may overlap; of two with one sequence both count.
  static std::shared_ptr<const RangeSet> make(std::vector<ErasedRange> ranges);

  /// The newest range that covers `key` among those up to `at`: entries below it are absent. Zero: none.
  Sequence covering(Bytes key, Sequence at) const noexcept {
    const Fragment* fragment = find(key);
    return fragment == nullptr ? Sequence{} : newest(*fragment, at);
  }

  /// The newest single range that covers all of these keys. Zero: none does.
  Sequence covering_all(const kv::KeyRange& keys) const noexcept;

  /// A piece of the order of keys all of which are covered alike.
  struct Cover {
    Sequence sequence;  ///< as covering(); zero: not covered
    Bytes first;        ///< of the fragment, included
    Bytes end;          ///< excluded; empty: the end of all keys
  };
  /// Where `key` is covered, the fragment that it is in.
  Cover cover(Bytes key, Sequence at) const noexcept;

  const std::vector<ErasedRange>& ranges() const noexcept { return ranges_; }

 private:
  struct Fragment {
    std::string first;
    std::vector<Sequence> sequences;  // ascending; empty in a gap
  };
  const Fragment* find(Bytes key) const noexcept;
  static Sequence newest(const Fragment& fragment, Sequence at) noexcept;

  std::vector<ErasedRange> ranges_;
  std::vector<Fragment> fragments_;  // in order; each ends where the next begins, the last is the end's
};

}  // namespace ashlar::lsm

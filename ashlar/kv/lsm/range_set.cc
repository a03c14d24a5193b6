/// 1. The borders of all ranges, in order, without doubles, are where fragments begin.
/// 2. A sweep over them: at each border ranges begin and end; the sequences of those that are open are the
///    fragment's.

#include "ashlar/kv/lsm/range_set.h"

#include <algorithm>
#include <set>

namespace ashlar::lsm {

std::shared_ptr<const RangeSet> RangeSet::make(std::vector<ErasedRange> ranges) {
  auto set = std::make_shared<RangeSet>();
  std::ranges::sort(ranges, {}, &ErasedRange::first);
  std::vector<const ErasedRange*> ending;
  for (const ErasedRange& range : ranges) {
    set->fragments_.push_back({.first = range.first, .sequences = {}});
    if (range.end.empty()) continue;  // open to the end
    set->fragments_.push_back({.first = range.end, .sequences = {}});
    ending.push_back(&range);
  }
  std::ranges::sort(set->fragments_, {}, &Fragment::first);
  const auto doubles = std::ranges::unique(set->fragments_, {}, &Fragment::first);
  set->fragments_.erase(doubles.begin(), doubles.end());
  std::ranges::sort(ending, {}, &ErasedRange::end);

  std::multiset<Sequence> open;
  auto beginning = ranges.begin();
  auto end = ending.begin();
  for (Fragment& fragment : set->fragments_) {
    for (; end != ending.end() && (*end)->end == fragment.first; ++end)
      open.erase(open.find((*end)->sequence));
    for (; beginning != ranges.end() && beginning->first == fragment.first; ++beginning)
      open.insert(beginning->sequence);
    fragment.sequences.assign(open.begin(), open.end());
  }
  set->ranges_ = std::move(ranges);
  return set;
}

const RangeSet::Fragment* RangeSet::find(Bytes key) const noexcept {
  const auto beyond = std::ranges::upper_bound(fragments_, as_text(key), {}, [](const Fragment& fragment) {
    return std::string_view(fragment.first);
  });
  return beyond == fragments_.begin() ? nullptr : &*std::prev(beyond);
}

Sequence RangeSet::newest(const Fragment& fragment, Sequence at) noexcept {
  for (std::size_t i = fragment.sequences.size(); i-- > 0;) {
    if (fragment.sequences[i] <= at) return fragment.sequences[i];
  }
  return {};
}

Sequence RangeSet::covering_all(const kv::KeyRange& keys) const noexcept {
  Sequence newest;
  for (const ErasedRange& range : ranges_) {
    if (range.covers(keys)) newest = std::max(newest, range.sequence);
  }
  return newest;
}

RangeSet::Cover RangeSet::cover(Bytes key, Sequence at) const noexcept {
  const Fragment* fragment = find(key);
  if (fragment == nullptr) return {};
  const bool last = fragment == &fragments_.back();
  return {.sequence = newest(*fragment, at),
          .first = as_bytes(fragment->first),
          .end = last ? Bytes{} : as_bytes(fragment[1].first)};
}

}  // namespace ashlar::lsm

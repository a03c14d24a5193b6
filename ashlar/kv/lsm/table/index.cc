#include "ashlar/kv/lsm/table/index.h"

#include <algorithm>
#include <bit>

namespace ashlar::lsm {
namespace {

constexpr std::size_t index_header_bytes = 16;
constexpr std::size_t index_entry_bytes = 8 + 4 + 4;

/// The first eight bytes as a number that orders as they do.
inline std::uint64_t head_of(Bytes rest) noexcept {
  if (rest.size() >= 8) [[likely]]
    return std::byteswap(load_le<std::uint64_t>(rest.data()));
  std::uint64_t head = 0;
  if (!rest.empty()) std::memcpy(&head, rest.data(), rest.size());
  return std::byteswap(head);
}

std::size_t shared_bytes(Bytes a, Bytes b) noexcept {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

void append_separator(Bytes last, Bytes next, std::vector<std::byte>& to) {
  const std::size_t shared = shared_bytes(last, next);
  if (shared < last.size()) {  // else last is a prefix of next, and as short as can be
    // Cut after the first byte that can be raised; at `shared` the result must stay below next.
    for (std::size_t at = shared; at + 1 < last.size(); ++at) {
      const auto raised = static_cast<unsigned>(last[at]) + 1;
      const bool below_next = at > shared || raised < static_cast<unsigned>(next[at]) || next.size() > at + 1;
      if (raised > 0xff || !below_next) continue;
      to.insert(to.end(), last.begin(), last.begin() + static_cast<std::ptrdiff_t>(at));
      to.push_back(static_cast<std::byte>(raised));
      return;
    }
  }
  to.insert(to.end(), last.begin(), last.end());
}

void IndexBuilder::add(Bytes last, Bytes next, std::uint64_t offset) {
  starts_.push_back(static_cast<std::uint32_t>(heap_.size()));
  pages_.push_back(static_cast<std::uint32_t>(offset / page_bytes));
  append_separator(last, next, heap_);
}

void IndexBuilder::add_separator(Bytes separator, std::uint64_t offset) {
  add(separator, separator, offset);
}

void IndexBuilder::reset() noexcept {
  heap_.clear();
  starts_.clear();
  pages_.clear();
}

void IndexBuilder::add_last(Bytes last, std::uint64_t offset) {
  add(last, last, offset);
}

Bytes IndexBuilder::separator(std::size_t block) const noexcept {
  const std::size_t end = block + 1 < starts_.size() ? starts_[block + 1] : heap_.size();
  return Bytes(heap_).subspan(starts_[block], end - starts_[block]);
}

std::size_t IndexBuilder::common() const noexcept {
  return shared_bytes(separator(0), separator(starts_.size() - 1));  // sorted: what these share, all share
}

std::size_t IndexBuilder::payload_bytes() const noexcept {
  return index_header_bytes + starts_.size() * index_entry_bytes + 8 + common() + heap_.size() -
         starts_.size() * common();
}

void IndexBuilder::finish(std::byte* payload, std::uint64_t meta) const noexcept {
  const std::size_t count = starts_.size(), shared = common();
  store_le(payload, static_cast<std::uint32_t>(count));
  store_le(payload + 4, static_cast<std::uint32_t>(shared));
  store_le(payload + 8, static_cast<std::uint32_t>(heap_.size() - count * shared));
  store_le<std::uint32_t>(payload + 12, 0);
  std::byte* heads = payload + index_header_bytes;
  std::byte* pages = heads + 8 * count;
  std::byte* starts = pages + 4 * (count + 1);
  std::byte* heap = starts + 4 * (count + 1) + shared;
  if (shared != 0) std::memcpy(heap - shared, heap_.data(), shared);
  std::uint32_t at = 0;
  for (std::size_t block = 0; block < count; ++block) {
    const Bytes rest = separator(block).subspan(shared);
    store_le(heads + 8 * block, head_of(rest));
    store_le(pages + 4 * block, pages_[block]);
    store_le(starts + 4 * block, at);
    if (!rest.empty()) std::memcpy(heap + at, rest.data(), rest.size());
    at += static_cast<std::uint32_t>(rest.size());
  }
  store_le(pages + 4 * count, static_cast<std::uint32_t>(meta / page_bytes));
  store_le(starts + 4 * count, at);
}

std::uint64_t Index::payload_bytes(Bytes payload) noexcept {
  if (payload.size() < index_header_bytes) return index_header_bytes;
  const std::byte* p = payload.data();
  return index_header_bytes + load_le<std::uint32_t>(p) * std::uint64_t{index_entry_bytes} + 8 +
         load_le<std::uint32_t>(p + 4) + load_le<std::uint32_t>(p + 8);
}

Result<Index> Index::parse(Bytes payload, FileRange range, ErrorPlace place) noexcept {
  if (payload.size() < index_header_bytes) return fail(Errc::corrupt, "table index: size", place);
  const std::byte* p = payload.data();
  Index index;
  index.count_ = load_le<std::uint32_t>(p);
  const std::uint64_t count = index.count_, common = load_le<std::uint32_t>(p + 4),
                      heap = load_le<std::uint32_t>(p + 8);
  if (count == 0 || payload_bytes(payload) != payload.size()) {
    return fail(Errc::corrupt, "table index: size", place);
  }
  index.heads_ = p + index_header_bytes;
  index.pages_ = index.heads_ + 8 * count;
  index.starts_ = index.pages_ + 4 * (count + 1);
  index.common_ = payload.subspan(payload.size() - heap - common, common);
  index.heap_ = payload.last(heap);
  TRY(index.validate(range, place));
  index.first_head_ = index.head(0);
  index.last_head_ = index.head(index.count_ - 1);
  return index;
}

IndexGuide::IndexGuide(const Index& index) : first_head_(index.first_head_) {
  const auto part_bits = static_cast<unsigned>(std::bit_width(index.count_ / 4)) + 1;
  normalise_ = static_cast<std::uint32_t>(std::countl_zero((index.last_head_ - first_head_) | 1));
  part_shift_ = 64 - part_bits;
  parts_.assign((std::size_t{1} << part_bits) + 1, index.count_);
  for (std::uint32_t block = index.count_; block-- > 0;) parts_[part_of(index.head(block))] = block;
  for (std::size_t part = parts_.size() - 1; part-- > 0;)
    parts_[part] = std::min(parts_[part], parts_[part + 1]);
}

Result<> Index::validate(FileRange range, ErrorPlace place) const noexcept {
  std::uint64_t page = 0;
  std::uint32_t start = 0;
  for (std::size_t block = 0; block <= count_; ++block) {
    const auto at_page = load_le<std::uint32_t>(pages_ + 4 * block);
    const auto at_start = load_le<std::uint32_t>(starts_ + 4 * block);
    const bool pages_ok = block == 0
                              ? at_page * std::uint64_t{page_bytes} == range.from
                              : at_page > page && (at_page - page) * page_bytes <= data_frame_bytes_max;
    const bool starts_ok = block == 0 ? at_start == 0 : at_start >= start && at_start <= heap_.size();
    if (!pages_ok || !starts_ok) return fail(Errc::corrupt, "table index: entry", place);
    page = at_page;
    start = at_start;
  }
  if (page * page_bytes != range.to || start != heap_.size())
    return fail(Errc::corrupt, "table index: end", place);
  for (std::uint32_t block = 0; block < count_; ++block) {
    const bool ordered = block == 0 || compare(separator(block - 1), separator(block)) <= 0;
    if (!ordered || head(block) != head_of(separator(block)))
      return fail(Errc::corrupt, "table index: order", place);
  }
  return {};
}

Bytes Index::separator(std::uint32_t block) const noexcept {
  const auto from = load_le<std::uint32_t>(starts_ + 4 * std::size_t{block});
  const auto to = load_le<std::uint32_t>(starts_ + 4 * std::size_t{block} + 4);
  return heap_.subspan(from, to - from);
}

std::vector<std::byte> Index::whole_separator(std::uint32_t block) const {
  std::vector<std::byte> whole(common_.begin(), common_.end());
  const Bytes rest = separator(block);
  whole.insert(whole.end(), rest.begin(), rest.end());
  return whole;
}

std::uint32_t Index::find(Bytes key, const IndexGuide* guide) const noexcept {
  if (!common_.empty()) {
    const int order = compare(key.first(std::min(key.size(), common_.size())), common_);
    if (order < 0) return 0;
    if (order > 0) return count_;
    key = key.subspan(common_.size());
  }
  const std::uint64_t wanted = head_of(key);
  if (wanted < first_head_) return 0;
  if (wanted > last_head_) return count_;
  // The first block whose head is not below is in the same part, or begins the next one. Halving without
  // branches, so that nothing is mispredicted.
  const std::byte* from = heads_;
  std::size_t left = count_;
  if (guide != nullptr) {
    const std::uint32_t* part = guide->parts_.data() + guide->part_of(wanted);
    from += 8 * std::size_t{part[0]};
    left = part[1] - part[0];
  }
  while (left > 1) {
    const std::size_t half = left / 2;
    from += load_le<std::uint64_t>(from + 8 * (half - 1)) < wanted ? 8 * half : 0;
    left -= half;
  }
  auto block = static_cast<std::uint32_t>((from - heads_) / 8);
  if (head(block) < wanted) ++block;
  return head(block) == wanted ? find_among_equal(block, wanted, key) : block;
}

std::uint32_t Index::find_among_equal(std::uint32_t from, std::uint64_t wanted, Bytes rest) const noexcept {
  std::uint32_t to = from;
  for (std::uint32_t step = 1; to < count_ && head(to) == wanted;
       step *= 2) {  // gallop to the end of the run
    to += std::min(step, count_ - to);
  }
  while (from < to) {
    const std::uint32_t middle = from + (to - from) / 2;
    if (head(middle) == wanted && compare(separator(middle), rest) < 0) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return from;
}

}  // namespace ashlar::lsm

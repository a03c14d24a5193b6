// Reads by index: find the newest mark that is not above the index, then walk the groups from there to the
// next mark. Between two marks no suffix is truncated, so the first record met with an index is the one that
// counts.

#include <algorithm>
#include <optional>

#include "ashlar/log/log.h"
#include "ashlar/log/segment_reader.h"

namespace ashlar::wal {
namespace {

/// Groups in [begin, end) of a segment, and the first index for which they do not count.
struct Stretch {
  LiveSegment* segment = nullptr;
  std::uint64_t begin = 0, end = 0;
  std::uint64_t index_end = ~std::uint64_t{0};
};

Stretch find(std::deque<LiveSegment>& live, std::uint64_t index) noexcept {
  std::uint64_t index_end = ~std::uint64_t{0};
  for (auto segment = live.rbegin(); segment != live.rend(); ++segment) {
    std::uint64_t end = segment->end;
    for (auto mark = segment->marks.rbegin(); mark != segment->marks.rend(); ++mark) {
      if (mark->index <= index) return {&*segment, mark->offset, end, index_end};
      end = mark->offset;
      index_end = std::min(index_end, mark->index);
    }
  }
  return {};
}

/// Delivers records next … last as far as the stretch has them; moves `next` behind them.
Task<Result<>> deliver(SegmentReader& reader, Stretch stretch, std::uint64_t& next, std::uint64_t last,
                       RecordVisitor& visitor) {
  const std::uint64_t number = stretch.segment->number();
  last = std::min(last, stretch.index_end - 1);
  for (std::uint64_t at = stretch.begin; at < stretch.end && next <= last;) {
    const auto group = CO_TRY(co_await reader.group(at));
    if (!group) co_return fail(Errc::corrupt, "log: damaged group", {number, at});
    RecordCursor records(group->bytes, number, at);
    while (const auto record = records.next()) {
      if (record->index != next || next > last || record->header.type == RecordType::truncate_suffix)
        continue;
      CO_TRY(visitor.on_record(*record));
      ++next;
    }
    at = group->end;
  }
  co_return Result<>();
}

}  // namespace

Task<Result<>> Log::read(std::uint64_t first, std::uint64_t last, RecordVisitor& visitor) {
  if (last > durable_.position.index) co_return fail(Errc::not_found, "log read", {.offset = last});
  std::optional<SegmentReader> reader;
  const LiveSegment* reading = nullptr;
  while (first <= last) {
    const Stretch stretch = find(segments_.live(), first);
    if (stretch.segment == nullptr) co_return fail(Errc::not_found, "log read", {.offset = first});
    if (stretch.segment != reading) {
      reading = stretch.segment;
      reader.emplace(*reading->blob, reading->generation);
    }
    const std::uint64_t before = first;
    ++stretch.segment->readers;  // not released meanwhile
    const Result<> delivered = co_await deliver(*reader, stretch, first, last, visitor);
    --stretch.segment->readers;
    CO_TRY(delivered);
    if (first == before) co_return fail(Errc::not_found, "log read", {.offset = first});
  }
  co_return Result<>();
}

}  // namespace ashlar::wal

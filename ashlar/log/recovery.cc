// Recovery, as docs/formats/log.md says:
//
//   1. open and settle every segment of the log
//   2. read its header and the header of its first group; remove those that were never finished
//   3. begin with the last segment whose first group is not above the first index needed
//   4. follow the groups and deliver their records
//   5. at the end, look for evidence that the next group was durable once: then it is damaged
//
// Steps 6 to 8, which change the log, are those of Segments::start() and Log::open().

#include "ashlar/log/recovery.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "ashlar/base/zero.h"
#include "ashlar/log/segment_reader.h"

namespace ashlar::wal {
namespace {

struct Candidate {
  std::unique_ptr<blob::Segment> blob;
  std::uint64_t generation = 0;
  std::uint64_t closed = 0;
  std::optional<GroupHeader> first;  // its first group, if the header of it validates

  std::uint64_t number() const noexcept { return blob->name().number; }
};

class Recovery {
 public:
  Recovery(blob::Store& store, std::uint32_t log, std::uint64_t first_needed, RecordVisitor& visitor) noexcept
      : store_(store), log_(log), first_needed_(first_needed), visitor_(visitor) {}

  Task<Result<Recovered>> run();

 private:
  Task<Result<>> open_segments();
  Task<Result<std::optional<Candidate>>> inspect(blob::SegmentInfo info);
  Task<Result<std::size_t>> find_start();
  Task<Result<>> follow(std::size_t start);
  Task<Result<>> follow_in(LiveSegment& segment);
  Result<bool> follows(const Group& group, ErrorPlace place) const;
  Result<> deliver(const Group& group, ErrorPlace place);
  Task<Result<>> look_for_damage(std::size_t behind);

  blob::Store& store_;
  std::uint32_t log_;
  std::uint64_t first_needed_;
  RecordVisitor& visitor_;
  std::vector<Candidate> candidates_;  // ascending by generation
  std::uint64_t closed_ = 0;           // 1 + the last ordinal of a log that was closed in order
  std::uint64_t tail_ordinal_ = 0;     // of the group at found_.tail
  Recovered found_;
};

Task<Result<Recovered>> Recovery::run() {
  CO_TRY(co_await open_segments());
  const std::size_t start = CO_TRY(co_await find_start());
  if (start < candidates_.size()) {
    CO_TRY(co_await follow(start));
  } else {
    CO_TRY(co_await look_for_damage(0));
  }
  for (Candidate& candidate : candidates_) {
    if (candidate.blob) found_.unused.push_back(std::move(candidate.blob));
  }
  found_.next_index = std::max(found_.next_index, first_needed_);
  co_return std::move(found_);
}

Task<Result<>> Recovery::open_segments() {
  const blob::Listing listing = CO_TRY(store_.list());
  for (const blob::SegmentInfo& info : listing.segments) {
    if (info.name.log != log_) continue;
    found_.number = std::max(found_.number, info.name.number);
    std::optional<Candidate> candidate = CO_TRY(co_await inspect(info));
    if (!candidate) {
      CO_TRY(co_await store_.remove_segment(info.name));
      continue;
    }
    found_.generation = std::max(found_.generation, candidate->generation);
    closed_ = std::max(closed_, candidate->closed);
    candidates_.push_back(std::move(*candidate));
  }
  std::ranges::sort(candidates_, {}, &Candidate::generation);
  co_return Result<>();
}

// Nothing where the segment was never finished.
Task<Result<std::optional<Candidate>>> Recovery::inspect(blob::SegmentInfo info) {
  const std::uint64_t number = info.name.number;
  if (info.bytes < 2 * blob::block_bytes) co_return std::nullopt;
  Candidate candidate;
  candidate.blob = CO_TRY(co_await store_.open_segment(info.name));
  CO_TRY(co_await candidate.blob->settle());

  SegmentReader reader(*candidate.blob, 0);
  const Bytes blocks = CO_TRY(co_await reader.read(0, 2 * blob::block_bytes));
  const auto header = CO_TRY(decode_segment_header(blocks.first(blob::block_bytes), number));
  const Bytes first_group = blocks.subspan(first_group_offset);
  if (!header) {
    if (!all_zero(first_group)) co_return fail(Errc::corrupt, "log segment header", {.object = number});
    co_return std::nullopt;
  }
  if (header->log != log_ || header->bytes != info.bytes) {
    co_return fail(Errc::corrupt, "log segment header", {.object = number});
  }
  candidate.generation = header->generation;
  candidate.closed = header->closed;
  candidate.first = decode_group_header(first_group, {header->generation, first_group_offset},
                                        info.bytes - first_group_offset);
  co_return candidate;
}

// The number of candidates where no group was ever whole. A segment whose first group is torn is no
// beginning: the one before it is still there, as it is released only when a group behind it is durable.
Task<Result<std::size_t>> Recovery::find_start() {
  const auto begins_in_time = [&](const Candidate& candidate) {
    return candidate.first && candidate.first->first_index <= first_needed_;
  };
  for (std::size_t at = candidates_.size(); at-- > 0;) {
    if (!begins_in_time(candidates_[at])) continue;
    SegmentReader reader(*candidates_[at].blob, candidates_[at].generation);
    if (CO_TRY(co_await reader.group(first_group_offset))) co_return at;
  }
  for (const Candidate& candidate : candidates_) {
    const bool torn_beginning = begins_in_time(candidate) && candidate.first->ordinal == 1;
    if (!candidate.first || torn_beginning) continue;
    co_return fail(Errc::corrupt, "log: records before this segment are missing",
                   {.object = candidate.number()});
  }
  co_return candidates_.size();
}

Task<Result<>> Recovery::follow(std::size_t start) {
  const GroupHeader& first = *candidates_[start].first;
  found_.ordinal = first.ordinal - 1;
  found_.session = first.follows;
  found_.next_index = first.first_index;
  std::size_t last = start;
  for (std::size_t at = start; at < candidates_.size(); ++at) {
    Candidate& candidate = candidates_[at];
    if (!candidate.first || candidate.first->ordinal != found_.ordinal + 1 ||
        candidate.first->follows != found_.session) {
      continue;
    }
    LiveSegment segment;
    segment.generation = candidate.generation;
    segment.blob = std::move(candidate.blob);
    CO_TRY(co_await follow_in(segment));
    if (!segment.written()) {  // a header without its records: torn
      candidate.blob = std::move(segment.blob);
      continue;
    }
    found_.live.push_back(std::move(segment));
    last = at;
  }
  co_return co_await look_for_damage(found_.live.empty() ? 0 : last);
}

Task<Result<>> Recovery::follow_in(LiveSegment& segment) {
  SegmentReader reader(*segment.blob, segment.generation);
  for (;;) {
    const std::uint64_t offset = segment.end;
    const auto group = CO_TRY(co_await reader.group(offset));
    if (!group) co_return Result<>();
    const ErrorPlace place{segment.number(), offset};
    if (!CO_TRY(follows(*group, place))) co_return Result<>();
    CO_TRY(deliver(*group, place));
    segment.mark(group->header.first_index, offset, group->header.first_index < found_.next_index);
    if (group->header.acknowledged >= tail_ordinal_) {
      tail_ordinal_ = group->header.ordinal;
      found_.tail = offset;
    }
    segment.end = group->end;
    found_.ordinal = group->header.ordinal;
    found_.session = group->header.session;
    found_.next_index = group->next_index;
  }
}

Result<bool> Recovery::follows(const Group& group, ErrorPlace place) const {
  const GroupHeader& header = group.header;
  if (header.ordinal != found_.ordinal + 1 || header.follows != found_.session) return false;
  if (header.first_index == found_.next_index) return true;
  // Indices go back where a suffix is truncated. They leap where a session begins whose owner had, in tables,
  // records that the log lost: written with less than full durability.
  const auto first = RecordCursor(group.bytes, place.object, place.offset).next();
  const bool truncates = first && first->header.type == RecordType::truncate_suffix;
  const bool leaps = header.session != found_.session && header.first_index > found_.next_index;
  if (leaps || (truncates && header.first_index < found_.next_index)) return true;
  return fail(Errc::corrupt, "log: indices do not go on", place);
}

Result<> Recovery::deliver(const Group& group, ErrorPlace place) {
  RecordCursor records(group.bytes, place.object, place.offset);
  while (auto record = records.next()) {
    const bool truncates = record->header.type == RecordType::truncate_suffix;
    // From below the first index needed, it voids all that was delivered.
    if (truncates) record->index = std::max(record->index, first_needed_);
    if (!truncates) found_.sequence = record->header.sequence;
    if (record->index >= first_needed_) TRY(visitor_.on_record(*record));
  }
  return {};
}

// Where the log ends, group n + 1 is torn or was never written; unless the log was closed behind it, or a
// group behind it says that it was acknowledged.
Task<Result<>> Recovery::look_for_damage(std::size_t behind) {
  const std::uint64_t lost = found_.ordinal + 1;
  ErrorPlace place;
  if (!found_.live.empty()) {
    place = {found_.live.back().number(), found_.live.back().end};
  } else if (!candidates_.empty()) {
    place = {candidates_.front().number(), first_group_offset};
  }
  if (closed_ != 0) {
    if (closed_ != lost) co_return fail(Errc::corrupt, "log: damaged group", place);
    found_.closed = !found_.live.empty();
    co_return Result<>();
  }
  if (!found_.live.empty()) {
    LiveSegment& last = found_.live.back();
    SegmentReader reader(*last.blob, last.generation);
    if (CO_TRY(co_await reader.find_acknowledged(last.end, lost))) {
      co_return fail(Errc::corrupt, "log: damaged group", place);
    }
  }
  for (std::size_t at = behind; at < candidates_.size(); ++at) {
    Candidate& candidate = candidates_[at];
    if (!candidate.blob) continue;
    SegmentReader reader(*candidate.blob, candidate.generation);
    if (CO_TRY(co_await reader.find_acknowledged(first_group_offset, lost))) {
      if (found_.live.empty()) place = {candidate.number(), first_group_offset};
      co_return fail(Errc::corrupt, "log: damaged group", place);
    }
  }
  co_return Result<>();
}

}  // namespace

Task<Result<Recovered>> recover(blob::Store& store, std::uint32_t log, std::uint64_t first_needed,
                                RecordVisitor& visitor) {
  Recovery recovery(store, log, first_needed, visitor);
  co_return co_await recovery.run();
}

}  // namespace ashlar::wal

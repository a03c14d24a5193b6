// Salvage, as docs/formats/log.md says: every block of every segment, in order of generations, may begin a
// group. A group that validates is taken unless it is what a torn tail left: of a session that has ended, or
// one that another session has written over.

#include "ashlar/log/salvage.h"

#include <algorithm>

#include "ashlar/blob/blocks.h"

namespace ashlar::wal {

namespace {

/// The generation that a segment's header names; nothing where it has none.
Task<Result<std::optional<std::uint64_t>>> generation_of(blob::Segment& segment) {
  SegmentReader reader(segment, 0);
  const Bytes block = CO_TRY(co_await reader.read(0, blob::block_bytes));
  if (block.size() < blob::block_bytes) co_return std::nullopt;
  const auto header = decode_segment_header(block, segment.name().number);
  if (!header || !*header) co_return std::nullopt;
  co_return (*header)->generation;
}

}  // namespace

Task<Result<std::unique_ptr<Salvage>>> Salvage::open(blob::Store& store, std::uint32_t log) {
  auto salvage = std::make_unique<Salvage>();
  const blob::Listing listing = CO_TRY(store.list());
  for (const blob::SegmentInfo& info : listing.segments) {
    if (info.name.log != log) continue;
    salvage->names_.push_back(info.name);
    auto segment = co_await store.open_segment(info.name);
    if (!segment) continue;
    const auto generation = co_await generation_of(**segment);
    if (generation && *generation) salvage->segments_.push_back({*std::move(segment), **generation});
  }
  std::ranges::sort(salvage->segments_, {}, &Readable::generation);
  co_return salvage;
}

bool Salvage::belongs(const GroupHeader& header) noexcept {
  if (header.ordinal <= ordinal_) return false;
  if (header.session == session_) return true;
  if (ended_.contains(header.session)) return false;
  // Behind a gap nobody knows what was in between; without one, it says whom it follows.
  return ordinal_ == 0 || header.ordinal > ordinal_ + 1 || header.follows == session_;
}

Task<Result<bool>> Salvage::next(RecordVisitor& visitor) {
  for (; at_ < segments_.size(); ++at_, reader_.reset()) {
    blob::Segment& segment = *segments_[at_].blob;
    if (reader_ == nullptr) {
      reader_ = std::make_unique<SegmentReader>(segment, segments_[at_].generation);
      offset_ = first_group_offset;
    }
    while (offset_ < segment.bytes()) {
      const auto group = co_await reader_->group(offset_);
      if (!group || !*group || !belongs((*group)->header)) {
        offset_ += blob::block_bytes;
        continue;
      }
      const std::uint64_t at = offset_;
      offset_ = (*group)->end;
      ordinal_ = (*group)->header.ordinal;
      if (session_ != (*group)->header.session) ended_.insert(session_);
      session_ = (*group)->header.session;
      ++groups_;
      RecordCursor records((*group)->bytes, segment.name().number, at);
      while (const auto record = records.next()) CO_TRY(visitor.on_record(*record));
      co_return true;
    }
  }
  co_return false;
}

}  // namespace ashlar::wal

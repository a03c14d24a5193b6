#include "ashlar/kv/lsm/manifest_log.h"

#include <algorithm>
#include <optional>

#include "ashlar/kv/lsm/manifest_record.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

namespace {

using blob::block_bytes;

constexpr std::size_t header_bytes = ManifestRecord::header_bytes;
constexpr std::uint64_t room_wanted = 2;  // times the snapshot, in a segment that is to take one
constexpr std::uint64_t room_made = 4;    // in one that is created for it

}  // namespace

Task<Result<std::unique_ptr<ManifestLog>>> ManifestLog::create(blob::Store& blobs, std::uint64_t partition) {
  std::unique_ptr<ManifestLog> log(new ManifestLog(blobs));
  CO_TRY(co_await log->open_segments());
  log->state_.partition = partition;
  CO_TRY(co_await log->find_newest());  // generations go on above what an interrupted creation may have left
  while (log->segments_.size() < 2) {
    const blob::SegmentName name{manifest_log_number, log->segments_.size() + 1};
    log->segments_.push_back(CO_TRY(co_await blobs.create_segment(name, segment_bytes)));
  }
  CO_TRY(co_await log->begin_generation());
  co_return std::move(log);
}

Task<Result<std::unique_ptr<ManifestLog>>> ManifestLog::open(blob::Store& blobs) {
  std::unique_ptr<ManifestLog> log(new ManifestLog(blobs));
  CO_TRY(co_await log->open_segments());
  const IoBuffer content = CO_TRY(co_await log->read_current());
  // Durable, whatever failed before, until the next generation is: docs/formats/log.md, "Recovery".
  const Bytes current = content.bytes().first(log->end_);
  CO_TRY(co_await log->segments_[log->current_]->write(0, {&current, 1}));
  CO_TRY(co_await log->begin_generation());
  co_return std::move(log);
}

Task<Result<ManifestState>> ManifestLog::read(blob::Store& blobs) {
  ManifestLog log(blobs);
  CO_TRY(co_await log.open_segments());
  (void)CO_TRY(co_await log.read_current());
  co_return std::move(log.state_);
}

Task<Result<>> ManifestLog::replace(blob::Store& blobs, ManifestState state) {
  std::unique_ptr<ManifestLog> log(new ManifestLog(blobs));
  CO_TRY(co_await log->open_segments());
  log->state_ = std::move(state);
  // Above every generation that a reader may find, retirements included; in a segment that is not current.
  const std::optional<std::size_t> current = CO_TRY(co_await log->find_newest());
  while (log->segments_.size() < 2) CO_TRY(co_await log->add_segment(0));
  if (current) {
    log->current_ = *current;
    log->started_ = true;
  }
  co_return co_await log->begin_generation();
}

Task<Result<>> ManifestLog::open_segments() {
  const blob::Listing listing = CO_TRY(blobs_.list());
  for (const blob::SegmentInfo& info : listing.segments) {
    if (info.name.log != manifest_log_number) continue;
    if (info.bytes < segment_bytes || !blob::aligned(info.bytes)) {  // never finished, never used
      CO_TRY(co_await blobs_.remove_segment(info.name));
      continue;
    }
    segments_.push_back(CO_TRY(co_await blobs_.open_segment(info.name)));
    CO_TRY(co_await segments_.back()->settle());
  }
  co_return Result<>{};
}

/// The segment with the newest snapshot; generation_ becomes the greatest that any segment begins with.
Task<Result<std::optional<std::size_t>>> ManifestLog::find_newest() {
  std::optional<std::size_t> newest;
  std::uint64_t newest_generation = 0;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const IoBuffer content = CO_TRY(Shard::current().buffers().allocate_regardless(segments_[i]->bytes()));
    CO_TRY(co_await segments_[i]->read(0, content.bytes()));
    const auto first = ManifestRecord::decode(content.bytes());
    if (!first) continue;
    generation_ = std::max(generation_, first->generation);
    if (first->index == 0 && first->generation > newest_generation) {
      newest_generation = first->generation;
      newest = i;
    }
  }
  co_return newest;
}

/// The content of the current segment, which is valid up to end_.
Task<Result<IoBuffer>> ManifestLog::read_current() {
  std::uint64_t superseded_by = 0;
  std::optional<std::size_t> newest;
  IoBuffer content;
  std::uint64_t damaged = 0;  // a segment that begins with no valid record
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    IoBuffer bytes = CO_TRY(Shard::current().buffers().allocate_regardless(segments_[i]->bytes()));
    CO_TRY(co_await segments_[i]->read(0, bytes.bytes()));
    const auto first = ManifestRecord::decode(bytes.bytes());
    if (!first) {
      damaged = segments_[i]->name().number;
      continue;
    }
    if (first->index == ManifestRecord::retirement) {
      superseded_by = std::max(superseded_by, first->generation);
    } else if (first->index == 0 && first->generation > generation_) {
      generation_ = first->generation;
      newest = i;
      content = std::move(bytes);
    }
  }
  if (!newest || superseded_by > generation_) co_return fail(Errc::corrupt, "manifest", {.object = damaged});
  current_ = *newest;
  started_ = true;

  const std::uint64_t object = segments_[current_]->name().number;
  end_ = 0;
  for (std::uint64_t index = 0; end_ < content.size(); ++index) {
    const auto record = ManifestRecord::decode(content.bytes().subspan(end_));
    if (!record || record->generation != generation_ || record->index != index) break;
    const ErrorPlace place{.object = object, .offset = end_ + header_bytes};
    CO_TRY(state_.apply(CO_TRY(Edit::decode(record->edit, place)), place));
    end_ += record->bytes();
  }
  for (std::uint64_t later = end_; later < content.size(); later += block_bytes) {
    const auto record = ManifestRecord::decode(content.bytes().subspan(later));
    if (record && record->generation == generation_) {
      co_return fail(Errc::corrupt, "manifest", {.object = object, .offset = end_});
    }
  }
  co_return std::move(content);
}

Task<Result<>> ManifestLog::write_record(blob::Segment& segment, std::uint64_t offset, std::uint64_t index,
                                         Bytes edit) {
  const ManifestRecord record{.generation = generation_, .index = index, .edit = edit};
  const IoBuffer block = CO_TRY(Shard::current().buffers().allocate_regardless(record.bytes()));
  record.encode(block.bytes());
  const Bytes whole[] = {block.bytes()};
  co_return co_await segment.write(offset, whole);
}

/// A segment not in use that holds so many bytes.
std::optional<std::size_t> ManifestLog::spare(std::uint64_t bytes) const noexcept {
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    if ((!started_ || i != current_) && bytes <= segments_[i]->bytes()) return i;
  }
  return std::nullopt;
}

Task<Result<>> ManifestLog::add_segment(std::uint64_t snapshot_bytes) {
  std::uint64_t bytes = segment_bytes, last_number = 0;
  while (bytes < room_made * snapshot_bytes) bytes *= 2;
  for (const auto& segment : segments_) last_number = std::max(last_number, segment->name().number);
  const blob::SegmentName name{manifest_log_number, last_number + 1};
  segments_.push_back(CO_TRY(co_await blobs_.create_segment(name, bytes)));
  co_return Result<>{};
}

/// Where the next snapshot goes: with as much room behind it for edits as it takes itself, unless the disk is
/// full and it fits without.
Task<Result<std::size_t>> ManifestLog::choose_segment(std::uint64_t snapshot_bytes) {
  if (const auto roomy = spare(room_wanted * snapshot_bytes)) co_return *roomy;
  const Result<> added = co_await add_segment(snapshot_bytes);
  if (added) co_return segments_.size() - 1;
  if (const auto tight = spare(blob::align_up(snapshot_bytes))) co_return *tight;
  co_return std::unexpected(added.error());
}

/// Ahead of need: once the disk is full, no segment can be made any more, and flushes must still commit.
Task<> ManifestLog::keep_spare() {
  if (spare(room_wanted * snapshot_bytes_) || blobs_.full()) co_return;
  (void)co_await add_segment(snapshot_bytes_);  // tried again after the next edit
}

/// Writes the state as the snapshot of the next generation, and retires the segment used so far.
Task<Result<>> ManifestLog::begin_generation() {
  const std::vector<std::byte> snapshot = state_.snapshot().encode();
  const std::size_t next = CO_TRY(co_await choose_segment(header_bytes + snapshot.size()));
  ++generation_;
  CO_TRY(co_await write_record(*segments_[next], 0, 0, snapshot));
  if (started_) CO_TRY(co_await write_record(*segments_[current_], 0, ManifestRecord::retirement, {}));
  current_ = next;
  started_ = true;
  next_index_ = 1;
  snapshot_bytes_ = header_bytes + snapshot.size();
  end_ = blob::align_up(snapshot_bytes_);
  co_return Result<>{};
}

Task<Result<>> ManifestLog::append(Edit edit) {
  if (failed_) co_return fail(Errc::stopped, "manifest");
  ManifestState next = state_;
  CO_TRY(next.apply(edit, {.object = segments_[current_]->name().number, .offset = end_}));
  const std::vector<std::byte> bytes = edit.encode();
  failed_ = true;  // until it is known to be durable
  if (end_ + blob::align_up(header_bytes + bytes.size()) <= segments_[current_]->bytes()) {
    CO_TRY(co_await write_record(*segments_[current_], end_, next_index_, bytes));
    state_ = std::move(next);
    ++next_index_;
    end_ += blob::align_up(header_bytes + bytes.size());
    snapshot_bytes_ += bytes.size();
  } else {
    std::swap(state_, next);
    if (auto begun = co_await begin_generation(); !begun) {
      std::swap(state_, next);
      co_return std::unexpected(begun.error());
    }
  }
  failed_ = false;
  co_await keep_spare();
  co_return Result<>{};
}

}  // namespace ashlar::lsm

#include "ashlar/blob/device/volume_log.h"

#include <algorithm>

#include "ashlar/blob/device/volume_record.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::blob {

namespace {

constexpr std::uint64_t header_bytes = VolumeRecord::header_bytes;

}  // namespace

std::optional<VolumeRecord> VolumeLog::record_at(Bytes from) const noexcept {
  return VolumeRecord::decode(layout_.id, volume_, from);
}

Task<Result<>> VolumeLog::write_record(std::uint64_t at, std::uint64_t generation, std::uint64_t index,
                                       Bytes edit) {
  const VolumeRecord record{.generation = generation, .index = index, .edit = edit};
  const IoBuffer memory = CO_TRY(Shard::current().buffers().allocate_regardless(record.bytes()));
  record.encode(layout_.id, volume_, memory.bytes());
  const Result<> written = co_await channel_.write(lba(at), memory, {.durable = true, .role = IoRole::log});
  if (!written) stopped_ = true;  // what is on the device is not known until it is read again
  co_return written;
}

Task<Result<>> VolumeLog::write_snapshot(unsigned area, std::uint64_t generation) {
  const std::vector<std::byte> snapshot = state_.snapshot(volume_);
  if (header_bytes + snapshot.size() > layout_.area_bytes())
    co_return fail(Errc::too_large, "volume snapshot", {.object = volume_});
  CO_TRY(co_await write_record(area_at(area), generation, 0, snapshot));
  area_ = area;
  generation_ = generation;
  index_ = 1;
  at_ = align_up(header_bytes + snapshot.size());
  state_bytes_ = snapshot.size();
  co_return Result<>{};
}

Task<Result<>> VolumeLog::retire(unsigned area, std::uint64_t superseded_by) {
  co_return co_await write_record(area_at(area), superseded_by, VolumeRecord::retirement, {});
}

Task<Result<>> VolumeLog::switch_areas() {
  const unsigned old = area_;
  CO_TRY(co_await write_snapshot(old ^ 1, generation_ + 1));
  const Result<> retired = co_await retire(old, generation_);
  if (!retired) stopped_ = true;
  co_return retired;
}

Task<Result<>> VolumeLog::create() {
  // What the chunk held before may be an area of a volume of the same number: it must not be taken for this
  // one's.
  CO_TRY(co_await retire(1, 1));
  co_return co_await write_snapshot(0, 1);
}

Task<Result<>> VolumeLog::open() {
  const IoBuffer area = CO_TRY(co_await read_area());
  // What is read may come from a write that failed, or a flush: to build on, it lasts.
  CO_TRY(co_await channel_.write(lba(area_at(area_)), area.bytes().first(at_), {.durable = true}));
  co_return co_await switch_areas();
}

Task<Result<>> VolumeLog::read() {
  (void)CO_TRY(co_await read_area());
  co_return Result<>{};
}

Task<Result<IoBuffer>> VolumeLog::read_area() {
  IoBuffer memory = CO_TRY(Shard::current().buffers().allocate(layout_.area_bytes()));
  std::uint64_t newest = 0, retired_by = 0;
  for (unsigned area = 0; area < 2; ++area) {
    CO_TRY(co_await channel_.read(lba(area_at(area)), memory));
    const auto first = record_at(memory.bytes());
    if (!first) continue;
    if (first->index == VolumeRecord::retirement) {
      retired_by = std::max(retired_by, first->generation);
    } else if (first->index == 0 && first->generation > newest) {
      newest = first->generation;
      area_ = area;
    }
  }
  if (newest == 0 || retired_by > newest)
    co_return fail(Errc::corrupt, "volume snapshot", {.object = volume_, .offset = area_at(area_)});
  CO_TRY(co_await channel_.read(lba(area_at(area_)), memory));
  generation_ = newest;
  CO_TRY(replay(memory.bytes(), area_));
  co_return std::move(memory);
}

/// Applies records until one is missing. One behind a gap says that the gap was a record.
Result<> VolumeLog::replay(Bytes area, unsigned number) {
  state_ = VolumeState();
  index_ = 0;
  for (at_ = 0; at_ < area.size();) {
    const auto record = record_at(area.subspan(at_));
    if (!record || record->generation != generation_ || record->index != index_) break;
    TRY(state_.apply(record->edit, volume_,
                     {.object = volume_, .offset = area_at(number) + at_ + header_bytes}));
    at_ += record->bytes();
    ++index_;
  }
  for (std::uint64_t at = at_; at < area.size(); at += block_bytes) {
    const auto later = record_at(area.subspan(at));
    if (later && later->generation == generation_ && later->index != VolumeRecord::retirement &&
        later->index > index_)
      return fail(Errc::corrupt, "volume record", {.object = volume_, .offset = area_at(number) + at_});
  }
  return {};
}

Task<Result<>> VolumeLog::commit(std::vector<std::byte> edit, Growth growth) {
  const MutexLock lock = co_await committing_.lock();
  if (stopped_) co_return fail(Errc::stopped, "volume", {.object = volume_});
  if (!fits(edit.size(), growth)) co_return fail(Errc::no_space, "volume metadata", {.object = volume_});

  const std::uint64_t record_bytes = align_up(header_bytes + edit.size());
  if (at_ + record_bytes > layout_.area_bytes()) CO_TRY(co_await switch_areas());
  CO_TRY(co_await write_record(area_at(area_) + at_, generation_, index_, edit));
  at_ += record_bytes;
  ++index_;
  state_bytes_ += edit.size();
  const Result<> applied = state_.apply(edit, volume_, {.object = volume_});
  if (!applied) stopped_ = true;
  co_return applied;
}

/// Whether the state still fits with so many more bytes: into half an area with a segment, a bit more with a
/// table or a root, so that a snapshot always leaves room for records. The sum of edits is an upper bound:
/// only where it does not do, the state is measured.
bool VolumeLog::fits(std::uint64_t bytes, Growth growth) {
  if (growth == Growth::nothing) return true;
  const std::uint64_t eighths = growth == Growth::segment ? 4 : growth == Growth::table ? 5 : 6;
  const std::uint64_t most = layout_.area_bytes() / 8 * eighths;
  if (state_bytes_ + bytes <= most) return true;
  state_bytes_ = state_.snapshot(volume_).size();
  return state_bytes_ + bytes <= most;
}

}  // namespace ashlar::blob

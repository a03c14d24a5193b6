#include "ashlar/blob/device/volume.h"

#include <algorithm>
#include <utility>

#include "ashlar/base/checksum.h"
#include "ashlar/blob/device/volume_blobs.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::blob {

using Growth = VolumeLog::Growth;

Volume::Volume(BlobDevice& device, Channel& channel, VolumeNumber number, std::uint64_t head) noexcept
    : device_(device),
      channel_(channel),
      number_(number),
      head_(head),
      space_(device.layout()),
      log_(channel, device.layout(), number, head) {}

Task<Result<>> Volume::open(const std::vector<std::uint64_t>& chunks, std::uint64_t reserve_bytes) {
  const std::uint64_t areas = 2 * device_.layout().area_bytes() / unit_bytes;
  for (const std::uint64_t chunk : chunks) space_.add_chunk(chunk, chunk == head_ ? areas : 0);
  CO_TRY(co_await log_.open());
  CO_TRY(adopt());
  reserve_units_ = units_for(reserve_bytes);
  full_ = reserve_units_ != 0;
  co_await restore();
  tasks_.spawn(look_after(), Share::flush);
  co_return Result<>{};
}

/// Gives every blob of the state a body; tables that share extents are clones and share the body.
Result<> Volume::adopt() {
  std::map<std::uint64_t, std::pair<const Extents*, BodyPointer>> by_first;
  for (const auto& [number, table] : log_.state().tables) {
    const std::uint64_t first = table.extents.empty() ? 0 : table.extents.front().first;
    const auto known = by_first.find(first);
    if (!table.extents.empty() && known != by_first.end() && *known->second.first == table.extents) {
      tables_[number] = known->second.second;
      continue;
    }
    tables_[number] = TRY(adopt(table.extents, number));
    if (!table.extents.empty()) by_first[first] = {&table.extents, tables_[number]};
  }
  for (const auto& [name, segment] : log_.state().segments)
    segments_[name] = TRY(adopt(segment.extents, name.number));
  for (const auto& [number, root] : log_.state().roots) roots_[number] = TRY(adopt(root.extents, number));
  return {};
}

Result<BodyPointer> Volume::adopt(const Extents& extents, std::uint64_t object) {
  if (!space_.occupy(extents)) return fail(Errc::corrupt, "extents of a blob", {.object = object});
  return std::make_shared<Body>(space_, extents);
}

Task<Result<>> Volume::close() {
  closing_ = true;
  nudge_.nudge();
  co_await tasks_.join();
  tables_.clear();
  segments_.clear();
  roots_.clear();
  co_await device_.release(number_);
  co_return Result<>{};
}

Result<Listing> Volume::list() {
  Listing listing;
  for (const auto& [number, table] : log_.state().tables) listing.tables.push_back({number, table.bytes});
  for (const std::uint64_t number : unpublished_) listing.tables.push_back({number, 0});
  std::ranges::sort(listing.tables, {}, &TableInfo::number);
  for (const auto& [name, segment] : log_.state().segments) listing.segments.push_back({name, segment.bytes});
  for (const auto& [number, root] : log_.state().roots) listing.roots.push_back(number);
  return listing;
}

Result<FileSystemSpace> Volume::space() {
  const Superblock& layout = device_.layout();
  return FileSystemSpace{
      .free_bytes = space_.free_units() * unit_bytes + device_.free_chunks() * layout.chunk_bytes,
      .total_bytes = device_.chunks() * layout.chunk_bytes};
}

/// Units that nobody has: from the volume's chunks, as long as that leaves the reserve; then from new chunks;
/// at the end from the reserve, for those entitled to it. `more` besides, as far as there are any to spare.
/// From unit `behind` on where that is free.
Task<Result<Extents>> Volume::take(std::uint64_t units, Entitled entitled, std::uint64_t more,
                                   std::optional<std::uint64_t> behind) {
  if (units == 0) co_return Extents();
  while (space_.free_units() < units + more + reserve_units_) {
    const auto chunk = CO_TRY(co_await device_.lend(number_));
    if (!chunk) break;
    space_.add_chunk(*chunk);
  }
  // What seems to be free may belong to a blob whose record failed: that is known at the next open.
  if (log_.stopped()) co_return fail(Errc::stopped, "allocation of units", {.object = number_});
  const std::uint64_t free = space_.free_units(), spare = free - std::min(free, reserve_units_);
  if (spare >= units) co_return space_.allocate(std::min(units + more, spare), behind);
  full_ = true;
  wanted_units_ = std::max(wanted_units_, units);
  nudge_.nudge();
  if (entitled == Entitled::no || free < units)
    co_return fail(Errc::no_space, "allocation of units", {.object = number_});
  co_return space_.allocate(units, behind);
}

Task<Result<BodyPointer>> Volume::body(std::uint64_t units, Entitled entitled) {
  Extents extents = CO_TRY(co_await take(units, entitled));
  co_return std::make_shared<Body>(space_, std::move(extents));
}

Task<Result<>> Volume::extend(Body& body, std::uint64_t units, std::uint64_t more) {
  const std::uint64_t missing = units - units_of(body.extents);
  std::optional<std::uint64_t> behind;
  if (!body.extents.empty()) behind = body.extents.back().first + body.extents.back().units;
  const Extents taken = CO_TRY(co_await take(missing, Entitled::to_reserve, more, behind));
  for (const Extent& extent : taken) {
    Extent* const last = body.extents.empty() ? nullptr : &body.extents.back();
    if (last != nullptr && last->first + last->units == extent.first) {
      last->units += extent.units;
    } else {
      body.extents.push_back(extent);
    }
  }
  co_return Result<>{};
}

Task<Result<std::unique_ptr<TableWriter>>> Volume::create_table(std::uint64_t number) {
  if (tables_.contains(number) || !unpublished_.insert(number).second)
    co_return fail(Errc::exists, "create table", {.object = number});
  co_return std::make_unique<VolumeTableWriter>(*this, number, std::make_shared<Body>(space_, Extents()));
}

Task<Result<>> Volume::publish_table(std::uint64_t number, BodyPointer body, std::uint64_t bytes) {
  StoredBlob table{bytes, body->extents};
  if (units_of(table.extents) < units_for(bytes))
    co_return fail(Errc::invalid, "publish table", {.object = number});
  // What is beyond the end goes back with the record that does not mention it.
  Extents surplus;
  for (std::uint64_t extra = units_of(table.extents) - units_for(bytes); extra != 0;) {
    Extent& last = table.extents.back();
    const std::uint64_t part = std::min(extra, last.units);
    last.units -= part;
    surplus.push_back({last.first + last.units, part});
    if (last.units == 0) table.extents.pop_back();
    extra -= part;
  }
  if (unpublished_.erase(number) == 0) co_return fail(Errc::not_found, "publish table", {.object = number});
  tables_.emplace(number, nullptr);
  Result<> ready = co_await channel_.flush();
  if (ready) ready = co_await log_.commit(edit_add_table(number, table), Growth::table);
  if (!ready) {
    tables_.erase(number);
    unpublished_.insert(number);
    co_return ready;
  }
  body->extents = std::move(table.extents);
  space_.free(surplus);
  tables_[number] = std::move(body);
  co_return Result<>{};
}

Task<Result<std::unique_ptr<Table>>> Volume::open_table(std::uint64_t number) {
  const auto found = tables_.find(number);
  if (found == tables_.end() || found->second == nullptr)
    co_return fail(Errc::not_found, "open table", {.object = number});
  co_return std::make_unique<VolumeTable>(*this, number, log_.state().tables.at(number).bytes, found->second);
}

Task<Result<>> Volume::clone_table(std::uint64_t from, std::uint64_t to) {
  const auto found = tables_.find(from);
  if (found == tables_.end() || found->second == nullptr)
    co_return fail(Errc::not_found, "clone table", {.object = from});
  if (unpublished_.contains(to) || !tables_.emplace(to, nullptr).second)
    co_return fail(Errc::exists, "clone table", {.object = to});
  const BodyPointer body = found->second;
  const Result<> made =
      co_await log_.commit(edit_add_table(to, StoredBlob(log_.state().tables.at(from))), Growth::table);
  if (made) {
    tables_[to] = body;
  } else {
    tables_.erase(to);
  }
  co_return made;
}

Task<Result<>> Volume::remove_table(std::uint64_t number) {
  if (unpublished_.erase(number) != 0) {  // nothing of it is on the device
    freed();
    co_return Result<>{};
  }
  const auto found = tables_.find(number);
  if (found == tables_.end() || found->second == nullptr)
    co_return fail(Errc::not_found, "remove table", {.object = number});
  BodyPointer body = std::exchange(found->second, nullptr);  // until the record is durable
  const Result<> removed = co_await log_.commit(edit_remove_table(number), Growth::nothing);
  if (removed) {
    tables_.erase(found);
    freed();
  } else {
    found->second = std::move(body);
  }
  co_return removed;
}

Task<Result<std::unique_ptr<Segment>>> Volume::create_segment(SegmentName name, std::uint64_t bytes) {
  if (!aligned(bytes) || bytes < 2 * block_bytes)
    co_return fail(Errc::invalid, "create segment", {.object = name.number});
  if (!segments_.emplace(name, nullptr).second)
    co_return fail(Errc::exists, "create segment", {.object = name.number});
  auto made = co_await body(units_for(bytes), Entitled::no);
  Result<> ready = made ? Result<>() : std::unexpected(made.error());
  if (ready) ready = co_await write_zeroes(place(**made, name.number), 0, bytes);
  if (ready) ready = co_await channel_.flush();
  if (ready) ready = co_await log_.commit(edit_add_segment(name, {bytes, (*made)->extents}), Growth::segment);
  if (!ready) {
    segments_.erase(name);
    co_return std::unexpected(ready.error());
  }
  segments_[name] = *made;
  co_return std::make_unique<VolumeSegment>(*this, channel_, name, bytes, *made);
}

Task<Result<std::unique_ptr<Segment>>> Volume::open_segment(SegmentName name) {
  const auto found = segments_.find(name);
  if (found == segments_.end() || found->second == nullptr)
    co_return fail(Errc::not_found, "open segment", {.object = name.number});
  co_return std::make_unique<VolumeSegment>(*this, channel_, name, log_.state().segments.at(name).bytes,
                                            found->second);
}

Task<Result<>> Volume::remove_segment(SegmentName name) {
  const auto found = segments_.find(name);
  if (found == segments_.end() || found->second == nullptr)
    co_return fail(Errc::not_found, "remove segment", {.object = name.number});
  BodyPointer body = std::exchange(found->second, nullptr);
  const Result<> removed = co_await log_.commit(edit_remove_segment(name), Growth::nothing);
  if (removed) {
    segments_.erase(found);
    freed();
  } else {
    found->second = std::move(body);
  }
  co_return removed;
}

Task<Result<std::optional<std::vector<std::byte>>>> Volume::read_root(std::uint32_t number) {
  const auto found = roots_.find(number);
  if (found == roots_.end()) co_return std::optional<std::vector<std::byte>>();
  if (log_.stopped()) co_return fail(Errc::stopped, "read root", {.object = number});
  const StoredRoot root = log_.state().roots.at(number);
  const BodyPointer body = found->second;
  std::vector<std::byte> payload(root.bytes);
  if (root.bytes != 0) {
    const IoBuffer memory = CO_TRY(Shard::current().buffers().allocate_regardless(align_up(root.bytes)));
    const MutableBytes parts[] = {memory.bytes()};
    CO_TRY(co_await blob::read(place(*body, number), 0, parts));
    std::ranges::copy(memory.bytes().first(root.bytes), payload.begin());
  }
  if (crc32c(payload) != root.checksum) co_return fail(Errc::corrupt, "read root", {.object = number});
  co_return payload;
}

Task<Result<>> Volume::write_root(std::uint32_t number, Bytes payload) {
  if (payload.size() > root_bytes_max) co_return fail(Errc::too_large, "write root", {.object = number});
  if (log_.stopped()) co_return fail(Errc::stopped, "write root", {.object = number});
  const BodyPointer made = CO_TRY(co_await body(units_for(payload.size()), Entitled::to_reserve));
  if (!payload.empty()) {
    const IoBuffer memory = CO_TRY(Shard::current().buffers().allocate_regardless(align_up(payload.size())));
    std::ranges::fill(memory.bytes(), std::byte{0});
    std::ranges::copy(payload, memory.data());
    const Bytes parts[] = {memory.bytes()};
    CO_TRY(co_await blob::write(place(*made, number), 0, parts));
    CO_TRY(co_await channel_.flush());
  }
  const auto known = log_.state().roots.find(number);
  const std::uint64_t generation = known == log_.state().roots.end() ? 1 : known->second.generation + 1;
  CO_TRY(co_await log_.commit(
      edit_set_root(number, {generation, payload.size(), crc32c(payload), made->extents}), Growth::root));
  roots_[number] = made;
  freed();
  co_return Result<>{};
}

/// Gets the reserve back, and gives back chunks that nothing is in.
Task<> Volume::restore() {
  while (full_ && space_.free_units() < reserve_units_ + wanted_units_) {
    const auto chunk = co_await device_.lend(number_);
    if (!chunk || !*chunk) co_return;
    space_.add_chunk(**chunk);
  }
  full_ = false;
  wanted_units_ = 0;
  const std::uint64_t per_chunk = device_.layout().units_per_chunk();
  while (!log_.stopped() && space_.free_units() >= reserve_units_ + 2 * per_chunk) {
    const auto chunk = space_.take_out_empty_chunk();
    if (!chunk || !co_await device_.give_back(*chunk)) co_return;
  }
}

/// While it is full, others may free chunks: it looks once a second.
Task<> Volume::look_after() {
  while (!closing_) {
    if (full_) {
      co_await nudge_.wait_at_most(std::chrono::seconds(1));
    } else {
      co_await nudge_.wait();
    }
    if (!closing_) co_await restore();
  }
}

}  // namespace ashlar::blob

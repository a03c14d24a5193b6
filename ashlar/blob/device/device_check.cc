// A device's check, step by step; where one finds damage, what depends on it is left out:
//
//   1. both superblocks, and that the device is as large as they say
//   2. the lease table
//   3. each volume's metadata: its areas, every record of the current one
//   4. each volume's extents: in its chunks, outside of its areas, of one blob each but for clones
//   5. each root's payload

#include "ashlar/blob/device/device_check.h"

#include <algorithm>
#include <map>

#include "ashlar/base/checksum.h"
#include "ashlar/blob/device/space.h"
#include "ashlar/blob/device/volume_log.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::blob {

namespace {

using Part = DeviceDamage::Part;

class DeviceCheck {
 public:
  DeviceCheck(Channel& channel, DeviceReport& report) noexcept : channel_(channel), report_(report) {}

  Task<Result<>> run() {
    report_.device_bytes = channel_.geometry().bytes();
    if (!CO_TRY(co_await check_superblocks())) co_return Result<>{};
    LeaseTable leases(channel_, report_.layout);
    if (const auto loaded = co_await leases.load(); !loaded)
      co_return damaged(Part::leases, 0, loaded.error());
    report_.free_chunks = leases.free_chunks();
    for (const VolumeNumber volume : leases.volumes()) CO_TRY(co_await check_volume(leases, volume));
    co_return Result<>{};
  }

 private:
  /// Damage is noted; an error of the device ends the check.
  Result<> damaged(Part part, VolumeNumber volume, const Error& error) {
    if (error.code != Errc::corrupt) return std::unexpected(error);
    report_.damages.push_back({.part = part, .volume = volume, .error = error});
    return {};
  }

  /// False: there is none to go on with.
  Task<Result<bool>> check_superblocks() {
    report_.superblocks = CO_TRY(co_await read_superblocks(channel_));
    const SuperblockCopies& copies = report_.superblocks;
    for (const Superblock::Found found : copies.found) {
      if (found == Superblock::Found::unknown_version)
        co_return fail(Errc::unsupported, "superblock: a newer format");
    }
    const int best = copies.best();
    if (best < 0) {
      if (std::ranges::all_of(copies.found, [](auto found) { return found == Superblock::Found::zeroes; }))
        co_return fail(Errc::not_found, "the device is not formatted (ashlar format)");
      CO_TRY(damaged(Part::superblock, 0, {Errc::corrupt, 0, "superblock: both copies are damaged", 0, 0}));
      co_return false;
    }
    report_.layout = copies.copy[best];
    const int other = best ^ 1;
    if (copies.found[other] != Superblock::Found::valid || copies.copy[other] != report_.layout) {
      const char* const what = other == 0 ? "superblock A is not like B" : "superblock B is not like A";
      report_.damages.push_back({.part = Part::superblock,
                                 .error = {Errc::corrupt, 0, what, 0, superblock_at[other]},
                                 .mended_at_open = true});
    }
    if (report_.device_bytes >= report_.layout.used_bytes) co_return true;
    CO_TRY(damaged(Part::superblock, 0,
                   {Errc::corrupt, 0, "the device is smaller than its blobs", 0, report_.device_bytes}));
    co_return false;
  }

  Task<Result<>> check_volume(const LeaseTable& leases, VolumeNumber number) {
    const Superblock& layout = report_.layout;
    VolumeReport volume{.number = number, .head = *leases.head_of(number), .state = {}};
    VolumeLog log(channel_, layout, number, volume.head);
    if (const auto read = co_await log.read(); !read) co_return damaged(Part::metadata, number, read.error());
    volume.generation = log.generation();
    volume.state = log.state();

    Space space(layout);
    const std::vector<std::uint64_t> chunks = leases.chunks_of(number);
    volume.chunks = chunks.size();
    const std::uint64_t areas = 2 * layout.area_bytes() / unit_bytes;
    for (const std::uint64_t chunk : chunks) space.add_chunk(chunk, chunk == volume.head ? areas : 0);
    const std::uint64_t units = space.free_units();
    CO_TRY(occupy(space, volume));
    volume.free_units = space.free_units();
    volume.used_units = units - volume.free_units;
    volume.free_runs = space.free_runs();
    for (const auto& [root_number, root] : volume.state.roots)
      CO_TRY(co_await check_root(number, root_number, root));
    report_.volumes.push_back(std::move(volume));
    co_return Result<>{};
  }

  Result<> occupy(Space& space, const VolumeReport& volume) {
    const auto take = [&](const Extents& extents, std::uint64_t object, const char* what) -> Result<> {
      if (space.occupy(extents)) return {};
      const std::uint64_t at =
          extents.empty() ? 0 : report_.layout.first_chunk + extents[0].first * unit_bytes;
      return damaged(Part::extents, volume.number, {Errc::corrupt, 0, what, object, at});
    };
    std::map<std::uint64_t, const Extents*> by_first;  // clones share all of their extents
    for (const auto& [number, table] : volume.state.tables) {
      const std::uint64_t first = table.extents.empty() ? 0 : table.extents.front().first;
      const auto known = by_first.find(first);
      if (!table.extents.empty() && known != by_first.end() && *known->second == table.extents) continue;
      TRY(take(table.extents, number, "extents of a table: not the volume's, or another blob's"));
      by_first.emplace(first, &table.extents);
    }
    for (const auto& [name, segment] : volume.state.segments)
      TRY(take(segment.extents, name.number, "extents of a segment: not the volume's, or another blob's"));
    for (const auto& [number, root] : volume.state.roots)
      TRY(take(root.extents, number, "extents of a root: not the volume's, or another blob's"));
    return {};
  }

  Task<Result<>> check_root(VolumeNumber volume, std::uint32_t number, const StoredRoot& root) {
    const IoBuffer memory = CO_TRY(
        Shard::current().buffers().allocate_regardless(align_up(std::max<std::uint64_t>(root.bytes, 1))));
    const Bytes payload = Bytes(memory.bytes()).first(root.bytes);
    if (root.bytes != 0) {
      const Place place{channel_, report_.layout, root.extents, number};
      const MutableBytes parts[] = {memory.bytes()};
      CO_TRY(co_await read(place, 0, parts));
    }
    if (crc32c(payload) == root.checksum) co_return Result<>{};
    co_return damaged(Part::root, volume, {Errc::corrupt, 0, "payload of a root", number, 0});
  }

  Channel& channel_;
  DeviceReport& report_;
};

}  // namespace

bool DeviceReport::works() const noexcept {
  return std::ranges::all_of(damages, [](const DeviceDamage& damage) { return damage.mended_at_open; });
}

Task<Result<DeviceReport>> check_device(Device& device) {
  DeviceReport report;
  if (device.geometry().block_bytes > block_bytes || device.geometry().bytes() < 2 * lease_tables_at)
    co_return fail(Errc::invalid, "the device cannot hold blobs");
  Channel& channel = *CO_TRY(co_await device.channel());
  DeviceCheck check(channel, report);
  CO_TRY(co_await check.run());
  co_return report;
}

}  // namespace ashlar::blob

#include "ashlar/app/device_report.h"

#include <fmt/format.h>

#include "ashlar/app/json.h"
#include "ashlar/base/units.h"

namespace ashlar::app {
namespace {

using blob::DeviceDamage;
using blob::DeviceReport;
using blob::Extents;
using blob::Superblock;
using blob::VolumeReport;

const char* name_of(DeviceDamage::Part part) {
  switch (part) {
    case DeviceDamage::Part::superblock: return "superblock";
    case DeviceDamage::Part::leases: return "lease table";
    case DeviceDamage::Part::metadata: return "metadata";
    case DeviceDamage::Part::extents: return "allocation";
    case DeviceDamage::Part::root: return "root";
  }
  return "?";
}

const char* name_of(Superblock::Found found) {
  switch (found) {
    case Superblock::Found::valid: return "valid";
    case Superblock::Found::zeroes: return "zeroes";
    case Superblock::Found::damaged: return "damaged";
    case Superblock::Found::unknown_version: return "of a newer version";
  }
  return "?";
}

std::string id_text(const blob::DeviceId& id) {
  std::string text;
  for (const std::byte byte : id) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

/// Where on the device, in bytes.
std::string extents_text(const Superblock& layout, const Extents& extents) {
  std::string text;
  for (const blob::Extent& extent : extents)
    text +=
        fmt::format("{}{}+{}", text.empty() ? "" : " ", layout.first_chunk + extent.first * blob::unit_bytes,
                    format_bytes(extent.units * blob::unit_bytes));
  return text;
}

Json extents_json(const Superblock& layout, const Extents& extents) {
  Json list = Json::array();
  for (const blob::Extent& extent : extents)
    list.push_back({{"offset", layout.first_chunk + extent.first * blob::unit_bytes},
                    {"bytes", extent.units * blob::unit_bytes}});
  return list;
}

/// One blob of a volume.
struct Blob {
  std::string name;
  std::uint64_t bytes;
  const Extents* extents;
};
std::vector<Blob> blobs_of(const VolumeReport& volume) {
  std::vector<Blob> blobs;
  for (const auto& [number, root] : volume.state.roots)
    blobs.push_back({fmt::format("root {}", number), root.bytes, &root.extents});
  for (const auto& [name, segment] : volume.state.segments)
    blobs.push_back({fmt::format("segment {}.{}", name.log, name.number), segment.bytes, &segment.extents});
  for (const auto& [number, table] : volume.state.tables)
    blobs.push_back({fmt::format("table {}", number), table.bytes, &table.extents});
  return blobs;
}

std::uint64_t extent_count(const VolumeReport& volume) {
  std::uint64_t count = 0;
  for (const Blob& blob : blobs_of(volume)) count += blob.extents->size();
  return count;
}

const char* role_of(blob::VolumeNumber number) {
  return number == 1 ? "root" : "partition";
}

/// Names and bytes; the bytes of a root are not listed.
std::vector<std::pair<std::string, std::uint64_t>> blobs_of(const blob::Listing& listing) {
  std::vector<std::pair<std::string, std::uint64_t>> blobs;
  for (const std::uint32_t number : listing.roots) blobs.push_back({fmt::format("root {}", number), 0});
  for (const blob::SegmentInfo& segment : listing.segments)
    blobs.push_back({fmt::format("segment {}.{}", segment.name.log, segment.name.number), segment.bytes});
  for (const blob::TableInfo& table : listing.tables)
    blobs.push_back({fmt::format("table {}", table.number), table.bytes});
  return blobs;
}

std::uint64_t bytes_of(const blob::Listing& listing) {
  std::uint64_t bytes = 0;
  for (const blob::TableInfo& table : listing.tables) bytes += table.bytes;
  for (const blob::SegmentInfo& segment : listing.segments) bytes += segment.bytes;
  return bytes;
}

}  // namespace

std::string damages_text(const DeviceReport& report) {
  std::string text;
  for (const DeviceDamage& damage : report.damages) {
    const std::string where = damage.volume == 0 ? "" : fmt::format("volume {}, ", damage.volume);
    text += fmt::format("DAMAGED  {}{}: {}{}\n", where, name_of(damage.part), damage.error.to_string(),
                        damage.mended_at_open ? "; the next open mends it" : "");
  }
  return text;
}

Json damages_json(const DeviceReport& report) {
  Json list = Json::array();
  for (const DeviceDamage& damage : report.damages) {
    Json one = error_json(damage.error);
    one["part"] = name_of(damage.part);
    one["volume"] = damage.volume;
    one["mended_at_open"] = damage.mended_at_open;
    list.push_back(std::move(one));
  }
  return list;
}

std::string inspect_text(const std::string& name, const DeviceReport& report, bool blobs) {
  const Superblock& layout = report.layout;
  std::string text = fmt::format("{}: {} in {} chunks of {}, {} of them free\n", name,
                                 approximate_bytes(report.device_bytes), layout.chunk_count,
                                 format_bytes(layout.chunk_bytes), report.free_chunks);
  text += fmt::format("superblock   generation {}, id {}; A is {}, B is {}\n", layout.generation,
                      id_text(layout.id), name_of(report.superblocks.found[0]),
                      name_of(report.superblocks.found[1]));
  text += fmt::format("lease table  at {}, {} blocks, twice; chunk 0 at {}\n", layout.lease_at,
                      layout.lease_blocks, layout.first_chunk);
  text += fmt::format("\n{:>6}  {:<9}  {:>6}  {:>6}  {:>8}  {:>5}  {:>7}  {:>10}  {:>10}  {:>9}\n", "volume",
                      "", "chunks", "tables", "segments", "roots", "extents", "used", "free", "free runs");
  for (const VolumeReport& volume : report.volumes) {
    text += fmt::format("{:>6}  {:<9}  {:>6}  {:>6}  {:>8}  {:>5}  {:>7}  {:>10}  {:>10}  {:>9}\n",
                        volume.number, role_of(volume.number), volume.chunks, volume.state.tables.size(),
                        volume.state.segments.size(), volume.state.roots.size(), extent_count(volume),
                        approximate_bytes(volume.used_units * blob::unit_bytes),
                        approximate_bytes(volume.free_units * blob::unit_bytes), volume.free_runs);
  }
  if (!blobs) return text;
  for (const VolumeReport& volume : report.volumes) {
    text += fmt::format("\nvolume {}, head chunk {}, metadata generation {}\n", volume.number, volume.head,
                        volume.generation);
    for (const Blob& blob : blobs_of(volume))
      text +=
          fmt::format("  {:<20}  {:>12}  {}\n", blob.name, blob.bytes, extents_text(layout, *blob.extents));
  }
  return text;
}

Json inspect_json(const std::string& name, const DeviceReport& report, bool blobs) {
  const Superblock& layout = report.layout;
  Json volumes = Json::array();
  for (const VolumeReport& volume : report.volumes) {
    Json one = {{"volume", volume.number},
                {"role", role_of(volume.number)},
                {"head_chunk", volume.head},
                {"chunks", volume.chunks},
                {"metadata_generation", volume.generation},
                {"tables", volume.state.tables.size()},
                {"segments", volume.state.segments.size()},
                {"roots", volume.state.roots.size()},
                {"extents", extent_count(volume)},
                {"used_bytes", volume.used_units * blob::unit_bytes},
                {"free_bytes", volume.free_units * blob::unit_bytes},
                {"free_runs", volume.free_runs}};
    if (blobs) {
      one["blobs"] = Json::array();
      for (const Blob& blob : blobs_of(volume))
        one["blobs"].push_back(
            {{"name", blob.name}, {"bytes", blob.bytes}, {"extents", extents_json(layout, *blob.extents)}});
    }
    volumes.push_back(std::move(one));
  }
  return {{"target", name},
          {"device_bytes", report.device_bytes},
          {"superblock",
           {{"generation", layout.generation},
            {"id", id_text(layout.id)},
            {"a", name_of(report.superblocks.found[0])},
            {"b", name_of(report.superblocks.found[1])},
            {"used_bytes", layout.used_bytes},
            {"chunk_bytes", layout.chunk_bytes},
            {"chunks", layout.chunk_count},
            {"lease_table_at", layout.lease_at},
            {"lease_table_blocks", layout.lease_blocks},
            {"first_chunk_at", layout.first_chunk},
            {"created_ms", layout.created_ms}}},
          {"free_chunks", report.free_chunks},
          {"volumes", std::move(volumes)},
          {"damages", damages_json(report)}};
}

std::string inspect_text(const std::string& name, const kv::RootRecord& root, FileSystemSpace space,
                         const std::vector<StoreReport>& stores, bool blobs) {
  std::string text = fmt::format("{}: data set {:016x}, engine {}, {} partitions; {} of {} free there\n",
                                 name, root.directory_id, root.engine, root.partitioner.partitions(),
                                 approximate_bytes(space.free_bytes), approximate_bytes(space.total_bytes));
  for (const StoreReport& store : stores) {
    text += fmt::format("{}: {} tables, {} segments, {} roots, {}\n", store.name, store.listing.tables.size(),
                        store.listing.segments.size(), store.listing.roots.size(),
                        approximate_bytes(bytes_of(store.listing)));
    if (!blobs) continue;
    for (const auto& [blob, bytes] : blobs_of(store.listing))
      text += fmt::format("  {:<20}  {:>12}\n", blob, bytes);
  }
  return text;
}

Json inspect_json(const std::string& name, const kv::RootRecord& root, FileSystemSpace space,
                  const std::vector<StoreReport>& stores, bool blobs) {
  Json list = Json::array();
  for (const StoreReport& store : stores) {
    Json one = {{"name", store.name},
                {"tables", store.listing.tables.size()},
                {"segments", store.listing.segments.size()},
                {"roots", store.listing.roots.size()},
                {"bytes", bytes_of(store.listing)}};
    if (blobs) {
      one["blobs"] = Json::array();
      for (const auto& [blob, bytes] : blobs_of(store.listing))
        one["blobs"].push_back({{"name", blob}, {"bytes", bytes}});
    }
    list.push_back(std::move(one));
  }
  return {{"target", name},
          {"data_set", fmt::format("{:016x}", root.directory_id)},
          {"created_ms", root.created_ms},
          {"engine", root.engine},
          {"partitions", root.partitioner.partitions()},
          {"free_bytes", space.free_bytes},
          {"total_bytes", space.total_bytes},
          {"stores", std::move(list)}};
}

}  // namespace ashlar::app

#include <algorithm>
#include <array>
#include <iterator>

#include <fmt/format.h>

#include "ashlar/app/doctor.h"
#include "ashlar/base/units.h"
#include "ashlar/runtime/ops/file_traits.h"

namespace ashlar::app {
namespace {

using State = Finding::State;

/// A disk's attributes in /sys.
class Queue {
 public:
  Queue(const FileTree& tree, const BlockDevice& disk) : tree_(tree), directory_(disk.directory) {}

  std::string text(const char* name) const { return tree_.line(directory_ + "/queue/" + name); }
  std::optional<std::uint64_t> number(const char* name) const { return leading_number(text(name)); }
  std::string file(const std::string& disk, const char* name) const {
    return fmt::format("/sys/block/{}/queue/{}", disk, name);
  }

 private:
  const FileTree& tree_;
  std::string directory_;
};

/// Of a virtual disk nobody knows what turns below it, and its driver says that it does.
bool knows_no_better(const BlockDevice& disk) {
  return disk.driver == "virtio_blk" || disk.driver == "vbd";
}
bool turns(const BlockDevice& disk, const Queue& queue) {
  return queue.number("rotational").value_or(0) == 1 && !knows_no_better(disk);
}

Finding scheduler(const BlockDevice& disk, const Queue& queue) {
  const std::string line = queue.text("scheduler"), chosen = bracketed(line);
  const std::string subject = disk.name + " scheduler";
  const auto offered = words(line);
  const bool has_none = line.find("none") != line.npos;
  if (chosen.empty() || chosen == "none")
    return {subject, State::ok, chosen.empty() ? "none in its way" : chosen, "", ""};
  if (turns(disk, queue)) {
    if (chosen == "mq-deadline") return {subject, State::ok, chosen, "", ""};
    return {subject, State::better, chosen, "mq-deadline orders the seeks of a disk that turns, for less CPU",
            "echo mq-deadline > " + queue.file(disk.name, "scheduler")};
  }
  if (!has_none) return {subject, State::ok, chosen, "", ""};
  return {subject, State::better, chosen, "it takes a lock that all CPUs share, for every request",
          "echo none > " + queue.file(disk.name, "scheduler")};
}

Finding write_cache(const BlockDevice& disk, const Queue& queue) {
  const std::string cache = queue.text("write_cache");
  const bool fua = queue.number("fua").value_or(0) == 1;
  std::string detail = "not shown: every durable write flushes";
  if (cache == "write through") detail = "none that forgets: a durable write needs no flush";
  if (cache == "write back")
    detail = fua ? "volatile; FUA makes a write durable in one command"
                 : "volatile, no FUA: a durable write is a write and a flush";
  return {disk.name + " write cache", State::ok, std::move(detail), "", ""};
}

Finding traits(const FileTree& tree, const BlockDevice& disk, const Queue& queue) {
  std::string detail = disk.driver.empty() ? "disk" : disk.driver;
  if (const auto sectors = tree.number(disk.directory + "/size"))
    detail += ", " + approximate_bytes(*sectors * 512);
  const auto logical = queue.number("logical_block_size"), physical = queue.number("physical_block_size");
  if (logical && physical) detail += fmt::format(", blocks of {} on {}", *logical, *physical);
  detail += queue.number("io_poll").value_or(0) == 1 ? ", polls" : ", interrupts";
  if (queue.number("rotational").value_or(0) == 1)
    detail += turns(disk, queue) ? ", turns" : ", virtual: rotational says 1 whatever it is";
  const auto discard = queue.number("discard_max_bytes");
  detail += discard.value_or(0) != 0 ? fmt::format(", discards up to {}", approximate_bytes(*discard))
                                     : ", no discard";
  if (const auto requests = queue.number("nr_requests")) detail += fmt::format(", {} requests", *requests);
  for (const char* name :
       {"/device/numa_node", "/device/device/numa_node", "/device/device/device/numa_node"}) {
    if (const auto node = tree.number(disk.directory + name)) {
      detail += fmt::format(", at node {}", *node);
      break;
    }
  }
  return {disk.name, State::ok, std::move(detail), "", ""};
}

/// What only some disks have: zones, protection information, atomic writes.
std::vector<Finding> abilities(const FileTree& tree, const BlockDevice& disk, const Queue& queue) {
  std::vector<Finding> findings;
  FileTraits traits;
  const auto major = leading_number<unsigned>(disk.number);
  const auto minor = leading_number<unsigned>(disk.number.substr(disk.number.find(':') + 1));
  if (major && minor) describe_disk(tree, *major, *minor, traits);
  if (const Zones& zones = traits.zones) {
    const auto limit = [](std::uint32_t count) { return count == 0 ? "any" : std::to_string(count); };
    findings.push_back(
        {disk.name + " zones", State::ok,
         fmt::format("{} of {}, {} open and {} active at once, {}", zones.count,
                     format_bytes(zones.zone_bytes), limit(zones.open_max), limit(zones.active_max),
                     zones.sequential_only ? "written in order only" : "written in any order"),
         "", ""});
  }
  if (const Protection& protection = traits.protection)
    findings.push_back(
        {disk.name + " protection", State::ok,
         fmt::format("type {}{}, a tuple for each {}, {} bytes of it for applications, kept {}{}{}",
                     protection.type, protection.crc64 ? " with a CRC of 64 bits" : "",
                     format_bytes(protection.interval_bytes), protection.tag_bytes,
                     protection.in_device ? "by the disk" : "by nobody",
                     protection.generated ? ", written by the kernel" : "",
                     protection.verified ? ", checked by the kernel" : ""),
         "", ""});
  if (const auto unit = queue.number("atomic_write_unit_max_bytes"); unit.value_or(0) != 0)
    findings.push_back({disk.name + " atomic writes", State::ok,
                        fmt::format("from {} up to {} (RWF_ATOMIC, direct I/O)",
                                    format_bytes(queue.number("atomic_write_unit_min_bytes").value_or(0)),
                                    format_bytes(*unit)),
                        "", ""});
  return findings;
}

/// "dm-0 (device-mapper (crypt)) on sda2 (partition) on sda (ahci)"
std::string chain(const BlockDevice& device) {
  std::string text = device.name;
  if (!device.driver.empty()) text += fmt::format(" ({})", device.driver);
  if (!device.backing_file.empty()) text += fmt::format(" of {}", device.backing_file);
  if (device.below.empty()) return text;
  text += " on ";
  for (std::size_t i = 0; i < device.below.size(); ++i)
    text += (i == 0 ? "" : " and ") + chain(device.below[i]);
  return text;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

Finding file_system(const Mount& mount) {
  const std::string detail =
      fmt::format("{} at {} from {} ({})", mount.type, mount.point, mount.source, join(mount.options));
  const std::string remount = "mount -o remount,";
  if (mount.has("nobarrier") || mount.has("barrier=0"))
    return {"file system", State::problem, detail,
            "without barriers, power loss takes what was acknowledged as durable",
            remount + "barrier=1 " + mount.point};
  if (mount.has("ro"))
    return {"file system", State::better, detail, "it is mounted for reading: nothing can be written",
            remount + "rw " + mount.point};
  if (mount.volatile_memory())
    return {"file system", State::better, detail, "what it holds is gone with the power",
            "use a directory of a file system on a disk (findmnt -D)"};
  if (mount.type == "overlay")
    return {"file system", State::better, detail, "the first write to a file copies all of it",
            "use a volume (docker: -v /srv/ashlar:/data)"};
  if (mount.type.starts_with("nfs") || mount.type.starts_with("fuse") || mount.type == "cifs" ||
      mount.type == "9p")
    return {"file system", State::better, detail, "each durable write waits for another program or machine",
            "use a file system on a disk of this machine (findmnt -D)"};
  if (mount.has("sync") || mount.has("dirsync"))
    return {"file system", State::better, detail, "every write waits for the disk, also those that need not",
            remount + "async " + mount.point};
  if (mount.has("data=journal"))
    return {"file system", State::better, detail, "everything is written twice",
            fmt::format("umount {0} && mount -o data=ordered {1} {0}", mount.point, mount.source)};
  if (mount.has("discard"))
    return {"file system", State::better, detail,
            "tables that are erased are discarded at once, beside the writes that clients wait for",
            mount.type == "xfs"
                ? fmt::format("umount {0} && mount -o nodiscard {1} {0}; fstrim {0} once a week", mount.point,
                              mount.source)
                : fmt::format("mount -o remount,nodiscard {0}; fstrim {0} once a week", mount.point)};
  return {"file system", State::ok, detail, "", ""};
}

Finding space(const Place& place) {
  std::string detail =
      fmt::format("{} of {} free", approximate_bytes(place.free_bytes), approximate_bytes(place.total_bytes));
  if (place.free_bytes >= place.total_bytes / 20) return {"space", State::ok, std::move(detail), "", ""};
  return {"space", place.free_bytes == 0 ? State::problem : State::better, std::move(detail),
          "merging tables needs room for what it writes before it erases",
          fmt::format("df -h {}", place.path)};
}

void examine_disk(const FileTree& tree, const BlockDevice& disk, std::vector<Finding>& findings) {
  const Queue queue(tree, disk);
  findings.push_back(traits(tree, disk, queue));
  findings.push_back(scheduler(disk, queue));
  findings.push_back(write_cache(disk, queue));
  std::ranges::move(abilities(tree, disk, queue), std::back_inserter(findings));
}

}  // namespace

std::vector<Finding> examine_place(const Machine& machine, const Place& place) {
  std::vector<Finding> findings;
  if (place.mount) findings.push_back(file_system(*place.mount));
  if (place.total_bytes != 0) findings.push_back(space(place));
  if (!place.device) return findings;
  if (!place.device->below.empty())
    findings.push_back({"stands on", State::ok, chain(*place.device), "", ""});
  for (const BlockDevice* disk : disks_of(*place.device)) examine_disk(machine.tree, *disk, findings);
  return findings;
}

}  // namespace ashlar::app

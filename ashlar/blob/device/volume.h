#pragma once

/// A blob store on a device. Format and crash points: docs/formats/blob-device.md, "Operations".

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "ashlar/blob/device/blob_device.h"
#include "ashlar/blob/device/space.h"
#include "ashlar/blob/device/volume_log.h"
#include "ashlar/blob/nudge.h"
#include "ashlar/blob/store.h"
#include "ashlar/runtime/sync/scope.h"

namespace ashlar::blob {

/// Owner: the shard that opened it. Lifecycle: a Store's. Invariants: each blob of the log's state has a body
/// here, which holds its units; a blob whose record is under way has an empty pointer, so that its number is
/// taken; units change hands only as long as the log goes on.
class Volume final : public Store {
 public:
  Volume(BlobDevice& device, Channel& channel, VolumeNumber number, std::uint64_t head) noexcept;

  /// Once, before anything else. `chunks`: those that the volume has.
  Task<Result<>> open(const std::vector<std::uint64_t>& chunks, std::uint64_t reserve_bytes);

  Result<Listing> list() override;
  Task<Result<std::unique_ptr<TableWriter>>> create_table(std::uint64_t number) override;
  Task<Result<std::unique_ptr<Table>>> open_table(std::uint64_t number) override;
  Task<Result<>> clone_table(std::uint64_t from, std::uint64_t to) override;
  Task<Result<>> remove_table(std::uint64_t number) override;
  Task<Result<std::unique_ptr<Segment>>> create_segment(SegmentName name, std::uint64_t bytes) override;
  Task<Result<std::unique_ptr<Segment>>> open_segment(SegmentName name) override;
  Task<Result<>> remove_segment(SegmentName name) override;
  Task<Result<std::optional<std::vector<std::byte>>>> read_root(std::uint32_t number) override;
  Task<Result<>> write_root(std::uint32_t number, Bytes payload) override;
  Result<FileSystemSpace> space() override;
  bool full() const noexcept override { return full_; }
  bool direct() const noexcept override { return true; }
  Task<Result<>> close() override;

  // For the writers of tables.

  /// Makes the body `units` large, from the reserve where nothing else is left; larger by up to `more` where
  /// there is room.
  Task<Result<>> extend(Body& body, std::uint64_t units, std::uint64_t more);
  /// Every write to the body is durable, and the table is the volume's.
  Task<Result<>> publish_table(std::uint64_t number, BodyPointer body, std::uint64_t bytes);
  Place place(const Body& body, std::uint64_t object) noexcept {
    return {channel_, device_.layout(), body.extents, object};
  }

 private:
  enum class Entitled : std::uint8_t { no, to_reserve };
  Result<> adopt();
  Result<BodyPointer> adopt(const Extents& extents, std::uint64_t object);
  Task<Result<Extents>> take(std::uint64_t units, Entitled entitled, std::uint64_t more = 0,
                             std::optional<std::uint64_t> behind = {});
  Task<Result<BodyPointer>> body(std::uint64_t units, Entitled entitled);
  Task<> restore();
  Task<> look_after();
  void freed() noexcept { nudge_.nudge(); }

  BlobDevice& device_;
  Channel& channel_;
  const VolumeNumber number_;
  const std::uint64_t head_;
  Space space_;
  VolumeLog log_;
  std::map<std::uint64_t, BodyPointer> tables_;
  std::map<SegmentName, BodyPointer> segments_;
  std::map<std::uint32_t, BodyPointer> roots_;
  std::set<std::uint64_t> unpublished_;  // tables that are being written, or whose writing was given up
  std::uint64_t reserve_units_ = 0;
  std::uint64_t wanted_units_ = 0;  // what last found no space
  bool full_ = false;
  bool closing_ = false;
  Nudge nudge_;
  TaskScope tasks_{nullptr};
};

}  // namespace ashlar::blob

#pragma once

/// The tables and segments of a volume. Guarantees: ashlar/blob/store.h.

#include <utility>

#include "ashlar/blob/device/volume.h"

namespace ashlar::blob {

class VolumeTableWriter final : public TableWriter {
 public:
  VolumeTableWriter(Volume& volume, std::uint64_t number, BodyPointer body) noexcept
      : volume_(volume), number_(number), body_(std::move(body)) {}

  Task<Result<>> write(std::uint64_t offset, Bytes from) override;
  Task<Result<>> publish(std::uint64_t bytes) override;

 private:
  Volume& volume_;
  const std::uint64_t number_;
  BodyPointer body_;
  Mutex growing_;
};

class VolumeTable final : public Table {
 public:
  VolumeTable(Volume& volume, std::uint64_t number, std::uint64_t bytes, BodyPointer body) noexcept
      : volume_(volume), number_(number), bytes_(bytes), body_(std::move(body)) {}

  Task<Result<>> read(std::uint64_t offset, MutableBytes into) override;
  Task<Result<>> read_parts(std::uint64_t offset, std::span<const MutableBytes> into) override;
  std::uint64_t bytes() const noexcept override { return bytes_; }

 private:
  Volume& volume_;
  const std::uint64_t number_, bytes_;
  BodyPointer body_;
};

class VolumeSegment final : public Segment {
 public:
  VolumeSegment(Volume& volume, Channel& channel, SegmentName name, std::uint64_t bytes,
                BodyPointer body) noexcept
      : volume_(volume), channel_(channel), name_(name), bytes_(bytes), body_(std::move(body)) {}

  SegmentName name() const noexcept override { return name_; }
  std::uint64_t bytes() const noexcept override { return bytes_; }
  Task<Result<>> write(std::uint64_t offset, std::span<const Bytes> from) override;
  Task<Result<>> read(std::uint64_t offset, MutableBytes into) override;
  Task<Result<>> settle() override;

 private:
  Volume& volume_;
  Channel& channel_;
  const SegmentName name_;
  const std::uint64_t bytes_;
  BodyPointer body_;
};

}  // namespace ashlar::blob

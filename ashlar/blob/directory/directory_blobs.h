#pragma once

/// Tables and segments as files.

#include <memory>
#include <string>
#include <utility>

#include "ashlar/blob/directory/reserve.h"
#include "ashlar/blob/store.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/mutex.h"

namespace ashlar::blob {

class DirectoryTableWriter final : public TableWriter {
 public:
  DirectoryTableWriter(const std::string& directory, Reserve& reserve, File file)
      : directory_(directory), reserve_(reserve), file_(std::move(file)) {}

  Task<Result<>> write(std::uint64_t offset, Bytes from) override;
  Task<Result<>> publish(std::uint64_t bytes) override;

 private:
  Task<> extend(std::uint64_t end);

  const std::string& directory_;
  Reserve& reserve_;
  File file_;
  Mutex extending_;
  std::uint64_t extended_ = 0;  // the file's size, allocated
};

class DirectoryTable final : public Table {
 public:
  DirectoryTable(File file, std::uint64_t bytes) : file_(std::move(file)), bytes_(bytes) {}

  Task<Result<>> read(std::uint64_t offset, MutableBytes into) override;
  Task<Result<>> read_parts(std::uint64_t offset, std::span<const MutableBytes> into) override;
  std::uint64_t bytes() const noexcept override { return bytes_; }

 private:
  File file_;
  std::uint64_t bytes_;
};

class DirectorySegment final : public Segment {
 public:
  DirectorySegment(SegmentName name, File file, std::uint64_t bytes)
      : name_(name), file_(std::move(file)), bytes_(bytes) {}

  SegmentName name() const noexcept override { return name_; }
  std::uint64_t bytes() const noexcept override { return bytes_; }
  Task<Result<>> write(std::uint64_t offset, std::span<const Bytes> from) override;
  Task<Result<>> read(std::uint64_t offset, MutableBytes into) override;
  Task<Result<>> settle() override;

  /// Allocates it and fills it with zeroes.
  Task<Result<>> fill();

 private:
  SegmentName name_;
  File file_;
  std::uint64_t bytes_;
};

}  // namespace ashlar::blob

#pragma once

#include <memory>
#include <string>

#include "ashlar/block/device.h"
#include "ashlar/block/flush_failures.h"
#include "ashlar/transport/file/file_target.h"

namespace ashlar {

/// A file or device that is open on its home shard; every shard opens it again for its channel. Thread safety
/// and lifecycle as Device.
class FileDevice final : public Device {
 public:
  /// `ring`: of the home's channel, null where it has none. See open_file_ring().
  FileDevice(std::string spec, FileTarget target, const FileOptions& options, FileKind kind,
             std::unique_ptr<IoRing> ring);
  ~FileDevice() override;

  /// By flock(2) on the path, as everyone else who claims it.
  Task<Result<>> claim() override;

 private:
  Task<Result<std::unique_ptr<Channel>>> open_channel() override;
  Task<Result<std::uint64_t>> measure() override;
  Task<> shut() override;

  const FileOptions options_;
  const FileKind kind_;
  const ShardId home_;
  const std::string path_;
  const int open_flags_;
  const FileTraits traits_;
  const bool direct_;
  FlushFailures flush_failures_;
  File file_;  // the home's
  File claim_;
  std::unique_ptr<IoRing> ring_;  // the home's, until its channel is opened
};

}  // namespace ashlar

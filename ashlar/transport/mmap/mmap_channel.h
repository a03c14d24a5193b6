#pragma once

/// Requests on mapped memory.
///
/// 1. A read of at most 256 KiB whose pages are in memory, or were a moment ago, is copied inside submit(). A
/// flush of nothing ends
///    there as well.
/// 2. Everything else is a task: a piece at a time, its pages are populated by a thread, and copied here.
/// 3. After a copy the mapping is asked whether a page failed under it.

#include <cstdint>
#include <string>

#include "ashlar/block/channel.h"
#include "ashlar/block/flush_failures.h"
#include "ashlar/block/stripe_locks.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/transport/mmap/mapped_file.h"
#include "ashlar/transport/mmap/residency.h"

namespace ashlar {

/// What the channels of one device share.
struct MmapShared {
  MmapShared(std::string name, bool is_private, const MapOptions& options, bool several_shards)
      : path(std::move(name)), private_copy(is_private), memory(options), stripes(several_shards) {}

  const std::string path;
  const bool private_copy;  ///< what is written stays in this process
  bool detached = false;  ///< simulated: the memory is a copy, and what changes the file does not show in it
  File file;              ///< the home's
  ShardId home{};
  MappedFile memory;
  StripeLocks stripes;
  FlushFailures flush_failures;
};

/// Owner and lifecycle as Channel.
class MmapChannel final : public Channel {
 public:
  MmapChannel(Device& device, MmapShared& shared) noexcept
      : Channel(device), shared_(shared), flush_watch_(shared.flush_failures) {}

 private:
  struct Range {
    std::uint64_t offset = 0, bytes = 0;
    std::uint64_t end() const noexcept { return offset + bytes; }
  };
  Range range_of(const Request& request) const noexcept;

  void start(Request& request) noexcept override;
  Task<> shut() override;

  Task<> serve(Request* request);
  Task<Result<>> carry_out(const Request& request);
  Task<Result<>> transfer(const Request& request);
  Task<Result<>> zero(const Request& request);
  Task<Result<>> flush(const Request& request);
  Task<Result<>> sync(Range range);
  Task<Result<>> populate(Op op, Range range);
  Task<Result<>> change_file(OpCode code, Range range);
  Task<Result<>> at_home(OpCode code, Range range);

  bool resident(Range range) noexcept;
  Result<> copy(const Request& request, std::uint64_t skip, std::uint64_t bytes) noexcept;
  Result<> fill_zeroes(Range range) noexcept;
  template <class Use>
  Result<> each_part(Op op, Range range, Use use) noexcept;
  Error failure(Op op, std::uint64_t offset, const Error& cause) const;

  MmapShared& shared_;
  FlushWatch flush_watch_;
  Residency residency_;
  TaskScope tasks_{nullptr};
};

}  // namespace ashlar

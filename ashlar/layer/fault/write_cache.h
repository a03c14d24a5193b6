#pragma once

/// The volatile write cache of a disk: written blocks stay here until a flush, a durable write or a lack of
/// room takes them to the medium. A power cut leaves of each block any version that it had since then.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/block/channel.h"
#include "ashlar/runtime/sync/mutex.h"

namespace ashlar {

/// Owner: the home shard of a FaultDevice; other shards come by message. Lifecycle: idle when it is
/// destroyed. Invariants: the latest version of a block is here or, where it has none here, on the medium;
/// only the holder of `destaging_` takes versions out, oldest first.
class WriteCache {
 public:
  /// `medium`: what stands below. It is not cut off itself: what reached it stays.
  WriteCache(Channel& medium, std::uint64_t bytes_max) noexcept : medium_(medium), bytes_max_(bytes_max) {}

  /// Carries out a request; a compare_and_write comes as a read and a write.
  Task<Result<>> serve(const Request& request);

  /// Each block is left as any of its versions, the medium's included, by chance. Returns how many of them
  /// lost something.
  Task<Result<std::uint64_t>> cut(Random& random);
  /// Each block loses what is here, or not: what a failed flush leaves.
  Task<> lose_some(Random& random);

  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  struct Version {
    std::uint64_t number;  // of the write
    std::unique_ptr<std::byte[]> data;
  };
  using Versions = std::vector<Version>;  // oldest first, never empty

  Task<Result<>> read(const Request& request);
  Task<Result<>> write(const Request& request);
  Task<Result<>> pass(const Request& request);
  Task<Result<>> flush();
  /// How many blocks it took to the medium.
  Task<Result<std::uint64_t>> destage(std::uint64_t first, std::uint64_t end, IoOptions options);
  void drop(std::uint64_t first, std::uint64_t end, std::uint64_t up_to) noexcept;
  std::uint32_t block_bytes() const noexcept { return medium_.geometry().block_bytes; }

  Channel& medium_;
  const std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
  std::uint64_t writes_ = 0;
  std::uint64_t cuts_ = 0;
  std::map<std::uint64_t, Versions> blocks_;  // by LBA
  Mutex destaging_;
};

}  // namespace ashlar

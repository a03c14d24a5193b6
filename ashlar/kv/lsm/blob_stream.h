#pragma once

/// Bytes in order, into a table blob and out of one: how backups keep catalogues and records, and how tables
/// are copied from store to store. Memory: one buffer.

#include <cstdint>
#include <memory>

#include "ashlar/blob/store.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/shard/shard_id.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar::lsm {

constexpr std::uint64_t stream_buffer_bytes = 1u << 20;

/// What a blob holds. The blob itself is padded with zeroes to a whole block.
struct StreamEnd {
  std::uint64_t bytes = 0;
  std::uint32_t crc = 0;  ///< CRC32C of those bytes
  bool operator==(const StreamEnd&) const = default;
};

/// Owner: the store's shard. Lifecycle: create(), append(), finish(); without finish() the blob means
/// nothing.
class StreamWriter {
 public:
  static Task<Result<std::unique_ptr<StreamWriter>>> create(blob::Store& blobs, std::uint64_t number);
  Task<Result<>> append(Bytes bytes);
  /// Once ok, it survives power loss.
  Task<Result<StreamEnd>> finish();

 private:
  Task<Result<>> write(std::uint64_t bytes);

  std::unique_ptr<blob::TableWriter> writer_;
  IoBuffer buffer_;
  std::uint64_t used_ = 0;     // of the buffer
  std::uint64_t written_ = 0;  // whole blocks
  StreamEnd end_;
};

/// Takes the pieces of a blob in order.
class StreamVisitor {
 public:
  virtual Task<Result<>> on_bytes(Bytes bytes) = 0;

 protected:
  ~StreamVisitor() = default;
};

/// All `bytes` of a blob; its checksum. `corrupt` where it is shorter.
Task<Result<std::uint32_t>> read_stream(blob::Store& blobs, std::uint64_t number, std::uint64_t bytes,
                                        StreamVisitor& visitor);
/// The same at once, for what is small. `corrupt` where it is not what `end` says.
Task<Result<std::vector<std::byte>>> read_stream(blob::Store& blobs, std::uint64_t number, StreamEnd end);

/// A copy of a table, in a store of the current shard, from one of shard `home`; its size and checksum. Once
/// ok, it survives power loss. On an error what was written is removed again.
Task<Result<StreamEnd>> copy_table(blob::Store& from, ShardId home, std::uint64_t number, blob::Store& to,
                                   std::uint64_t as);

/// `corrupt` where the blob does not have this checksum.
Task<Result<>> check_stream(blob::Store& blobs, std::uint64_t number, StreamEnd end);

}  // namespace ashlar::lsm

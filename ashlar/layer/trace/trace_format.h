#pragma once

/// The bytes of a trace: docs/formats/trace.md. No I/O.

#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/base/bytes.h"
#include "ashlar/base/result.h"
#include "ashlar/block/request.h"

namespace ashlar::trace {

constexpr std::size_t header_bytes = 4096;
constexpr std::size_t chunk_bytes = 65'536;
constexpr std::size_t chunk_header_bytes = 48;
constexpr std::size_t entry_bytes_max = 2 + 4 * 10;
constexpr std::size_t spec_bytes_max = 4000;

struct Header {
  std::uint64_t number = 0;
  std::uint64_t began_ms = 0;  ///< since 1970
  std::uint32_t block_bytes = 512;
  std::uint64_t blocks = 0;
  std::string spec;
};

/// One request that completed.
struct Entry {
  Op op = Op::read;
  bool durable = false;
  bool atomic = false;
  bool deadline = false;  ///< it had one
  IoPriority priority = IoPriority::normal;
  std::uint8_t result = 0;  ///< 0: ok; else 1 + Errc
  std::uint32_t shard = 0;
  std::uint32_t place = 0;         ///< in the file, counted in entries; set by load()
  std::uint64_t completed_ns = 0;  ///< since the trace began
  std::uint64_t latency_ns = 0;
  std::uint64_t lba = 0, blocks = 0;

  std::uint64_t submitted_ns() const noexcept { return completed_ns - latency_ns; }
  bool operator==(const Entry&) const = default;
};

/// Fills `into`, of header_bytes.
void encode(const Header& header, MutableBytes into);
/// `corrupt` where it is none, `unsupported` for another version.
Result<Header> decode_header(Bytes bytes);

/// Puts entries into the memory of one chunk. Allocates nothing.
class ChunkWriter {
 public:
  /// `memory`: chunk_bytes, which outlive the writer. Times are from `base_ns` on, since the trace began.
  ChunkWriter(MutableBytes memory, std::uint64_t base_ns) noexcept;

  /// Whether one more entry fits, whatever it is.
  bool full() const noexcept { return size_ + entry_bytes_max > memory_.size(); }
  bool empty() const noexcept { return entries_ == 0; }
  std::uint32_t entries() const noexcept { return entries_; }
  void add(const Entry& entry) noexcept;
  /// Completes the chunk; its bytes are those of the memory up to the size returned.
  std::size_t finish(std::uint64_t trace, std::uint32_t shard, std::uint32_t ordinal,
                     std::uint64_t dropped) noexcept;

 private:
  MutableBytes memory_;
  std::size_t size_ = chunk_header_bytes;
  std::uint32_t entries_ = 0;
  std::uint64_t base_ns_;
  std::uint64_t time_ = 0, next_lba_ = 0;
};

struct ChunkHeader {
  std::uint32_t shard = 0, ordinal = 0;
  std::uint64_t base_ns = 0;
  std::uint32_t entries = 0, size = 0;
  std::uint64_t dropped = 0;
};

/// What a slot holds.
enum class Slot : std::uint8_t { chunk, nothing, damaged };
/// Looks at a slot, which is shorter than a chunk at the end of a file. Fills `header` where it is a chunk.
Slot examine(Bytes slot, std::uint64_t trace, ChunkHeader& header) noexcept;
/// Appends the entries of a slot that is a chunk. `corrupt` where they do not decode; `entries` is then as it
/// was.
Result<> decode_entries(Bytes slot, const ChunkHeader& header, std::vector<Entry>& entries);

}  // namespace ashlar::trace

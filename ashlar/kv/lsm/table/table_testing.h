#pragma once

/// A table in memory, for tests, fuzzers and benchmarks.

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "ashlar/kv/lsm/table/frame.h"
#include "ashlar/kv/lsm/table/table.h"
#include "ashlar/kv/lsm/table/table_builder.h"

namespace ashlar::lsm::testing {

/// Page-aligned memory that grows as a file does; the addresses handed out stay.
class MemorySink final : public TableSink {
 public:
  MutableBytes allocate(std::uint64_t offset, std::size_t bytes) override {
    if (offset != size_ || bytes % page_bytes != 0) std::abort();
    pieces_.emplace_back(static_cast<std::byte*>(std::aligned_alloc(page_bytes, bytes)), bytes);
    size_ += bytes;
    return {pieces_.back().first.get(), bytes};
  }

  /// The whole file in one piece.
  MutableBytes file() {
    file_.reset(static_cast<std::byte*>(std::aligned_alloc(page_bytes, size_)));
    std::byte* to = file_.get();
    for (const auto& [piece, bytes] : pieces_) {
      std::memcpy(to, piece.get(), bytes);
      to += bytes;
    }
    return {file_.get(), size_};
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  using Memory = std::unique_ptr<std::byte, Free>;
  std::vector<std::pair<Memory, std::size_t>> pieces_;
  Memory file_;
  std::size_t size_ = 0;
};

/// Opens the table in `file`.
inline Result<Table> open_table(Bytes file, std::uint64_t number) {
  if (file.size() < page_bytes) return fail(Errc::corrupt, "table footer: size", {number, file.size()});
  const Footer footer = TRY(Footer::decode(file.last(page_bytes), number, file.size()));
  return Table::open(footer, file.subspan(footer.meta, footer.offset - footer.meta));
}

/// Reads one partition of the table in `file`.
inline Result<TablePartition> read_partition(const Table& table, Bytes file, std::uint32_t ordinal) {
  const BlockHandle handle = table.block(ordinal);
  const ErrorPlace place{table.number(), handle.offset};
  if (handle.offset + handle.bytes > file.size())
    return fail(Errc::corrupt, "table partition: handle", place);
  const Bytes payload =
      TRY(open_plain_frame(file.subspan(handle.offset, handle.bytes), FrameType::partition, place));
  return TablePartition::parse(payload, table.scope(ordinal), place);
}

/// Reads one block of the table in `file`, decompressing into `raw` where it has to.
inline Result<Block> read_block(const Table& table, Bytes file, std::uint32_t ordinal,
                                std::vector<std::byte>& raw) {
  const BlockHandle handle = table.block(ordinal);
  const ErrorPlace place{table.number(), handle.offset};
  if (handle.offset + handle.bytes > file.size()) return fail(Errc::corrupt, "table block: handle", place);
  const Frame frame = TRY(open_frame(file.subspan(handle.offset, handle.bytes), FrameType::data, place));
  if (frame.compression == Compression::none) return Block::parse(frame.stored, place);
  raw.resize(frame.raw_bytes);
  TRY(decompress(frame, raw, place));
  return Block::parse(raw, place);
}

}  // namespace ashlar::lsm::testing

#include "ashlar/kv/lsm/blob_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "ashlar/base/checksum.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::lsm {

namespace {

class Nothing final : public StreamVisitor {
 public:
  Task<Result<>> on_bytes(Bytes) override { co_return Result<>{}; }
};

class Collect final : public StreamVisitor {
 public:
  Task<Result<>> on_bytes(Bytes bytes) override {
    all.insert(all.end(), bytes.begin(), bytes.end());
    co_return Result<>{};
  }
  std::vector<std::byte> all;
};

Task<Result<StreamEnd>> copy_into(blob::Table& from, ShardId home, blob::TableWriter& to) {
  const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate_regardless(stream_buffer_bytes));
  StreamEnd end{.bytes = from.bytes()};
  for (std::uint64_t at = 0; at < end.bytes; at += stream_buffer_bytes) {
    const MutableBytes piece = buffer.bytes().first(std::min(stream_buffer_bytes, end.bytes - at));
    CO_TRY(co_await invoke(home, [&] { return from.read(at, piece); }));
    end.crc = crc32c(piece, end.crc);
    CO_TRY(co_await to.write(at, piece));
  }
  CO_TRY(co_await to.publish(end.bytes));
  co_return end;
}

}  // namespace

Task<Result<std::unique_ptr<StreamWriter>>> StreamWriter::create(blob::Store& blobs, std::uint64_t number) {
  auto stream = std::make_unique<StreamWriter>();
  stream->writer_ = CO_TRY(co_await blobs.create_table(number));
  stream->buffer_ = CO_TRY(Shard::current().buffers().allocate_regardless(stream_buffer_bytes));
  co_return stream;
}

Task<Result<>> StreamWriter::write(std::uint64_t bytes) {
  CO_TRY(co_await writer_->write(written_, Bytes(buffer_.bytes()).first(bytes)));
  written_ += bytes;
  used_ = 0;
  co_return Result<>{};
}

Task<Result<>> StreamWriter::append(Bytes bytes) {
  end_.crc = crc32c(bytes, end_.crc);
  end_.bytes += bytes.size();
  while (!bytes.empty()) {
    const std::size_t part = std::min<std::size_t>(bytes.size(), buffer_.size() - used_);
    std::memcpy(buffer_.data() + used_, bytes.data(), part);
    used_ += part;
    bytes = bytes.subspan(part);
    if (used_ == buffer_.size()) CO_TRY(co_await write(used_));
  }
  co_return Result<>{};
}

Task<Result<StreamEnd>> StreamWriter::finish() {
  // A blob is never empty: a store need not keep one without blocks.
  const std::uint64_t last =
      std::max<std::uint64_t>(blob::align_up(used_), written_ == 0 ? blob::block_bytes : 0);
  if (last != 0) {
    std::ranges::fill(buffer_.bytes().subspan(used_, last - used_), std::byte{0});
    CO_TRY(co_await write(last));
  }
  CO_TRY(co_await writer_->publish(written_));
  co_return end_;
}

Task<Result<std::uint32_t>> read_stream(blob::Store& blobs, std::uint64_t number, std::uint64_t bytes,
                                        StreamVisitor& visitor) {
  const auto blob = CO_TRY(co_await blobs.open_table(number));
  if (blob->bytes() < bytes)
    co_return fail(Errc::corrupt, "blob is cut short", {.object = number, .offset = blob->bytes()});
  const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate_regardless(stream_buffer_bytes));
  std::uint32_t crc = 0;
  for (std::uint64_t at = 0; at < bytes; at += stream_buffer_bytes) {
    const std::uint64_t part = std::min(stream_buffer_bytes, bytes - at);
    CO_TRY(co_await blob->read(at, buffer.bytes().first(blob::align_up(part))));
    const Bytes piece = Bytes(buffer.bytes()).first(part);
    crc = crc32c(piece, crc);
    CO_TRY(co_await visitor.on_bytes(piece));
  }
  co_return crc;
}

Task<Result<std::vector<std::byte>>> read_stream(blob::Store& blobs, std::uint64_t number, StreamEnd end) {
  Collect collect;
  if (CO_TRY(co_await read_stream(blobs, number, end.bytes, collect)) != end.crc)
    co_return fail(Errc::corrupt, "blob checksum", {.object = number});
  co_return std::move(collect.all);
}

Task<Result<>> check_stream(blob::Store& blobs, std::uint64_t number, StreamEnd end) {
  Nothing nothing;
  if (CO_TRY(co_await read_stream(blobs, number, end.bytes, nothing)) != end.crc)
    co_return fail(Errc::corrupt, "blob checksum", {.object = number});
  co_return Result<>{};
}

Task<Result<StreamEnd>> copy_table(blob::Store& from, ShardId home, std::uint64_t number, blob::Store& to,
                                   std::uint64_t as) {
  std::unique_ptr<blob::Table> source =
      CO_TRY(co_await invoke(home, [&] { return from.open_table(number); }));
  Result<StreamEnd> copied = fail(Errc::cancelled, "copy");
  {
    auto writer = co_await to.create_table(as);
    if (writer) {
      copied = co_await copy_into(*source, home, **writer);
      writer->reset();
      if (!copied) (void)co_await to.remove_table(as);
    } else {
      copied = std::unexpected(writer.error());
    }
  }
  co_await invoke(home, [&] { source.reset(); });
  co_return copied;
}

}  // namespace ashlar::lsm

#pragma once

/// What tests of blob stores share: blobs with known content, and a walk through every operation.

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "ashlar/blob/store.h"
#include "ashlar/runtime/shard/shard.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::blob::testing {

inline IoBuffer memory(std::size_t bytes) {
  return *Shard::current().buffers().allocate(bytes);
}
inline IoBuffer filled(std::size_t bytes, unsigned char value) {
  IoBuffer buffer = memory(bytes);
  std::memset(buffer.data(), value, buffer.size());
  return buffer;
}

inline Task<Result<>> write_table(Store& store, std::uint64_t number, std::size_t blocks) {
  auto writer = CO_TRY(co_await store.create_table(number));
  std::vector<IoBuffer> buffers;
  std::vector<Task<Result<>>> writes;
  for (std::size_t i = 0; i < blocks; ++i) {
    buffers.push_back(filled(block_bytes, static_cast<unsigned char>(number + i)));
    writes.push_back(writer->write(i * block_bytes, buffers.back().bytes()));
  }
  for (const Result<>& written : co_await when_all(std::move(writes))) CO_TRY(written);
  co_return co_await writer->publish(blocks * block_bytes);
}

inline Task<Result<>> expect_table(Store& store, std::uint64_t number, std::size_t blocks,
                                   std::uint64_t content) {
  auto table = CO_TRY(co_await store.open_table(number));
  EXPECT_EQ(table->bytes(), blocks * block_bytes);
  for (std::size_t i = 0; i < blocks; ++i) {
    const IoBuffer buffer = memory(block_bytes);
    CO_TRY(co_await table->read(i * block_bytes, buffer.bytes()));
    EXPECT_TRUE(equal(buffer.bytes(), filled(block_bytes, static_cast<unsigned char>(content + i)).bytes()));
  }
  const IoBuffer beyond = memory(block_bytes);
  const Result<> read = co_await table->read(blocks * block_bytes, beyond.bytes());
  EXPECT_EQ(read.error().code, Errc::corrupt);
  EXPECT_EQ(read.error().object, number);
  co_return Result<>();
}

/// On an empty store, which it leaves with root 1 as "two" and nothing else.
inline Task<Result<>> use_every_blob(Store& store) {
  CO_TRY(co_await write_table(store, 7, 40));
  EXPECT_EQ((co_await store.create_table(7)).error().code, Errc::exists);
  CO_TRY(co_await store.clone_table(7, 9));
  CO_TRY(co_await store.remove_table(7));
  CO_TRY(co_await expect_table(store, 9, 40, 7));
  EXPECT_EQ((co_await store.open_table(7)).error().code, Errc::not_found);

  const SegmentName name{3, 1};
  {
    auto segment = CO_TRY(co_await store.create_segment(name, 3u << 20));
    const IoBuffer a = filled(block_bytes, 1), b = filled(2 * block_bytes, 2), all = memory(4 * block_bytes);
    const Bytes parts[] = {a.bytes(), b.bytes()};
    CO_TRY(co_await segment->write(block_bytes, parts));
    CO_TRY(co_await segment->read(0, all.bytes()));
    EXPECT_EQ(all.data()[0], std::byte{0});
    EXPECT_EQ(all.data()[block_bytes], std::byte{1});
    EXPECT_EQ(all.data()[4 * block_bytes - 1], std::byte{2});
    EXPECT_EQ((co_await segment->write(segment->bytes(), parts)).error().code, Errc::invalid);
  }
  EXPECT_FALSE(CO_TRY(co_await store.read_root(1)));
  CO_TRY(co_await store.write_root(1, as_bytes("one")));
  CO_TRY(co_await store.write_root(1, as_bytes("two")));
  EXPECT_EQ(as_text(*CO_TRY(co_await store.read_root(1))), "two");

  const Listing listing = CO_TRY(store.list());
  EXPECT_EQ(listing.tables.size(), 1u);
  EXPECT_EQ(listing.segments.size(), 1u);
  EXPECT_EQ(listing.segments.at(0).name, name);
  EXPECT_EQ(listing.segments.at(0).bytes, 3u << 20);
  EXPECT_EQ(listing.roots, std::vector<std::uint32_t>{1});
  CO_TRY(co_await store.remove_segment(name));
  CO_TRY(co_await store.remove_tables_except({}));
  EXPECT_TRUE(CO_TRY(store.list()).tables.empty());
  EXPECT_FALSE(store.full());
  co_return Result<>();
}

}  // namespace ashlar::blob::testing

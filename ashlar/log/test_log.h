#pragma once

/// A log in a store of its own, and an owner that remembers what it was told.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/blob/directory/directory_store.h"
#include "ashlar/blob/test_machine.h"
#include "ashlar/log/log.h"
#include "ashlar/runtime/ops/file.h"

namespace ashlar::testing {

constexpr wal::LogOptions small{.segment_bytes = 1u << 20, .buffer_bytes = 8192, .memory_bytes = 8u << 20};

struct StoredRecord {
  wal::RecordHeader header;
  std::uint64_t index = 0;
  std::string payload;
  std::uint64_t segment = 0, offset = 0;
};

class Recorder final : public wal::LogOwner {
 public:
  Result<> on_record(const wal::Record& record) override {
    records.push_back(
        {record.header, record.index, std::string(as_text(record.payload)), record.segment, record.offset});
    return {};
  }
  void on_durable(const wal::Progress& progress) noexcept override {
    EXPECT_FALSE(stopped);
    EXPECT_LT(durable.position, progress.position);
    durable = progress;
  }
  void on_stopped(const Error& why) noexcept override { stopped = why; }

  std::vector<std::string> payloads() const {
    std::vector<std::string> texts;
    for (const StoredRecord& record : records) texts.push_back(record.payload);
    return texts;
  }

  std::vector<StoredRecord> records;
  wal::Progress durable;
  std::optional<Error> stopped;
};

struct TestLog {
  Task<Result<>> open(std::string path, wal::LogOptions options = small, std::uint64_t first_needed = 1) {
    const Result<> made = Shard::current().backend().make_directory(path);
    if (!made && made.error().code != Errc::exists) co_return made;
    CO_TRY(co_await sync_directory(path.substr(0, path.rfind('/') + 1)));
    store = CO_TRY(co_await blob::open_directory(path, {.reserve_bytes = 0}));
    auto opened = co_await wal::Log::open(*store, 0, options, first_needed, recorder);
    if (!opened) {
      (void)co_await store->close();
      co_return std::unexpected(opened.error());
    }
    log = std::move(*opened);
    co_return Result<>();
  }
  Task<Result<>> close() {
    const Result<> closed = co_await log->close();
    log.reset();
    const Result<> store_closed = co_await store->close();
    CO_TRY(closed);
    co_return store_closed;
  }
  wal::Log* operator->() const noexcept { return log.get(); }

  Recorder recorder;
  std::unique_ptr<blob::Store> store;
  std::unique_ptr<wal::Log> log;
};

}  // namespace ashlar::testing

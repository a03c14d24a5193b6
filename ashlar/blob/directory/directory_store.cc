// A store in a directory. The steps of each operation are numbered in docs/formats/blob-directory.md; each is
// checked before the next begins.

#include "ashlar/blob/directory/directory_store.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ashlar/base/log.h"
#include "ashlar/base/options.h"
#include "ashlar/base/units.h"
#include "ashlar/blob/directory/directory_blobs.h"
#include "ashlar/blob/directory/file_name.h"
#include "ashlar/blob/directory/reserve.h"
#include "ashlar/blob/directory/roots.h"

namespace ashlar::blob {
namespace {

class DirectoryStore final : public Store {
 public:
  explicit DirectoryStore(std::string path) : path_(std::move(path)), roots_(path_, reserve_) {}

  Task<Result<>> open(DirectoryOptions options);

  Result<Listing> list() override;
  Task<Result<std::unique_ptr<TableWriter>>> create_table(std::uint64_t number) override;
  Task<Result<std::unique_ptr<Table>>> open_table(std::uint64_t number) override;
  Task<Result<>> clone_table(std::uint64_t from, std::uint64_t to) override;
  Task<Result<bool>> share_table(std::uint64_t number, Store& with) override;
  Task<Result<>> remove_table(std::uint64_t number) override;
  Task<Result<std::unique_ptr<Segment>>> create_segment(SegmentName name, std::uint64_t bytes) override;
  Task<Result<std::unique_ptr<Segment>>> open_segment(SegmentName name) override;
  Task<Result<>> remove_segment(SegmentName name) override;
  Task<Result<std::optional<std::vector<std::byte>>>> read_root(std::uint32_t number) override {
    return roots_.read(number);
  }
  Task<Result<>> write_root(std::uint32_t number, Bytes payload) override {
    return roots_.write(number, payload);
  }
  Result<FileSystemSpace> space() override { return Shard::current().backend().space(path_); }
  bool full() const noexcept override { return reserve_.full(); }
  bool direct() const noexcept override { return direct_; }
  Task<Result<>> close() override;

 private:
  std::string file(std::string_view name) const { return path_ + '/' + std::string(name); }
  int flags(int base) const noexcept { return base | (direct_ ? O_DIRECT : 0); }
  Task<Result<File>> open_reserve();
  Task<Result<>> remove(std::string name);
  Task<Result<std::unique_ptr<Segment>>> make_segment(SegmentName name, std::uint64_t bytes);

  std::string path_;
  File lock_;
  bool direct_ = false;
  Reserve reserve_;
  Roots roots_;
};

Task<Result<>> DirectoryStore::open(DirectoryOptions options) {
  lock_ = File(CO_TRY(Shard::current().backend().lock(file(lock_file_name))), 0);
  direct_ = options.direct;
  CO_TRY(co_await sync_directory(path_));
  for (const DirectoryEntry& entry : CO_TRY(Shard::current().backend().list(path_))) {
    const auto name = parse_file_name(entry.name);
    if (name && name->kind == FileName::Kind::new_root) CO_TRY(co_await unlink_file(file(entry.name)));
  }
  File reserve = CO_TRY(co_await open_reserve());
  co_return co_await reserve_.start(path_, std::move(reserve), options.reserve_bytes);
}

// The first file that is opened shows whether the file system does direct I/O.
Task<Result<File>> DirectoryStore::open_reserve() {
  Result<File> opened = co_await File::open(file(reserve_file_name), flags(O_RDWR | O_CREAT));
  if (!opened && opened.error().code == Errc::invalid && direct_) {
    log::warn("{}: buffered I/O, the file system refuses O_DIRECT", path_);
    direct_ = false;
    opened = co_await File::open(file(reserve_file_name), O_RDWR | O_CREAT);
  }
  co_return opened;
}

Task<Result<>> DirectoryStore::close() {
  const Result<> stopped = co_await reserve_.stop();
  if (lock_) CO_TRY(co_await lock_.close());
  co_return stopped;
}

Result<Listing> DirectoryStore::list() {
  Listing listing;
  for (const DirectoryEntry& entry : TRY(Shard::current().backend().list(path_))) {
    const auto name = parse_file_name(entry.name);
    if (!name || entry.directory) continue;
    switch (name->kind) {
      case FileName::Kind::table: listing.tables.push_back({name->number, entry.bytes}); break;
      case FileName::Kind::segment:
        listing.segments.push_back({{name->log, name->number}, entry.bytes});
        break;
      case FileName::Kind::root: listing.roots.push_back(static_cast<std::uint32_t>(name->number)); break;
      case FileName::Kind::new_root: break;
    }
  }
  std::ranges::sort(listing.tables, {}, &TableInfo::number);
  std::ranges::sort(listing.segments, {}, &SegmentInfo::name);
  std::ranges::sort(listing.roots);
  return listing;
}

Task<Result<std::unique_ptr<TableWriter>>> DirectoryStore::create_table(std::uint64_t number) {
  Result<File> opened =
      co_await File::open(file(table_file_name(number)), flags(O_RDWR | O_CREAT | O_EXCL), 0644, number);
  if (!opened && opened.error().code == Errc::no_space) {
    co_await reserve_.give_up(block_bytes);
    opened =
        co_await File::open(file(table_file_name(number)), flags(O_RDWR | O_CREAT | O_EXCL), 0644, number);
  }
  co_return std::make_unique<DirectoryTableWriter>(path_, reserve_, CO_TRY(std::move(opened)));
}

Task<Result<std::unique_ptr<Table>>> DirectoryStore::open_table(std::uint64_t number) {
  File opened = CO_TRY(co_await File::open(file(table_file_name(number)), flags(O_RDONLY), 0, number));
  const std::uint64_t bytes = CO_TRY(opened.bytes());
  co_return std::make_unique<DirectoryTable>(std::move(opened), bytes);
}

Task<Result<>> DirectoryStore::clone_table(std::uint64_t from, std::uint64_t to) {
  CO_TRY(co_await link_file(file(table_file_name(from)), file(table_file_name(to))));
  co_return co_await sync_directory(path_);
}

Task<Result<bool>> DirectoryStore::share_table(std::uint64_t number, Store& with) {
  const auto* other = dynamic_cast<const DirectoryStore*>(&with);
  if (other == nullptr) co_return false;
  const std::string name = table_file_name(number);
  const Result<> linked = co_await link_file(file(name), other->file(name));
  // Another file system, one without links, or too many of them.
  const int why = linked ? 0 : linked.error().native;
  if (why == EXDEV || why == EPERM || why == EMLINK || why == EOPNOTSUPP) co_return false;
  CO_TRY(linked);
  CO_TRY(co_await sync_directory(other->path_));
  co_return true;
}

Task<Result<>> DirectoryStore::remove_table(std::uint64_t number) {
  co_return co_await remove(table_file_name(number));
}

Task<Result<std::unique_ptr<Segment>>> DirectoryStore::create_segment(SegmentName name, std::uint64_t bytes) {
  if (!aligned(bytes) || bytes < 2 * block_bytes) {
    co_return fail(Errc::invalid, "create segment", {.object = name.number});
  }
  auto made = co_await make_segment(name, bytes);
  if (made) co_return made;
  if (made.error().code == Errc::no_space) reserve_.note_full(bytes);
  // Undo: nobody knows it yet. If this fails too, recovery finds it unfinished and removes it.
  if (made.error().code != Errc::exists) (void)co_await unlink_file(file(segment_file_name(name)));
  co_return made;
}

Task<Result<std::unique_ptr<Segment>>> DirectoryStore::make_segment(SegmentName name, std::uint64_t bytes) {
  File created = CO_TRY(co_await File::open(file(segment_file_name(name)), flags(O_RDWR | O_CREAT | O_EXCL),
                                            0644, name.number));
  auto segment = std::make_unique<DirectorySegment>(name, std::move(created), bytes);
  CO_TRY(co_await segment->fill());
  CO_TRY(co_await sync_directory(path_));
  co_return segment;
}

Task<Result<std::unique_ptr<Segment>>> DirectoryStore::open_segment(SegmentName name) {
  File opened = CO_TRY(co_await File::open(file(segment_file_name(name)), flags(O_RDWR), 0, name.number));
  const std::uint64_t bytes = CO_TRY(opened.bytes());
  co_return std::make_unique<DirectorySegment>(name, std::move(opened), bytes);
}

Task<Result<>> DirectoryStore::remove_segment(SegmentName name) {
  co_return co_await remove(segment_file_name(name));
}

Task<Result<>> DirectoryStore::remove(std::string name) {
  CO_TRY(co_await unlink_file(file(name)));
  reserve_.space_may_be_free();
  co_return Result<>();
}

}  // namespace

void describe(OptionSet& set, DirectoryOptions& options) {
  set.add("blob.reserve-bytes", options.reserve_bytes,
          {.unit = Unit::bytes,
           .max = 1_TiB,
           .multiple_of = block_bytes,
           .test_max = 16_MiB,
           .help = "Space that is given up when the disk is full, so that flushes and deletes still work"});
  set.add("blob.direct", options.direct, {.help = "Bypass the page cache where the file system can"});
}

Task<Result<std::unique_ptr<Store>>> open_directory(std::string path, DirectoryOptions options) {
  auto store = std::make_unique<DirectoryStore>(std::move(path));
  const Result<> opened = co_await store->open(options);
  if (!opened) {
    (void)co_await store->close();
    co_return std::unexpected(opened.error());
  }
  co_return store;
}

}  // namespace ashlar::blob

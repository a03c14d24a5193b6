#include <fmt/format.h>

#include <utility>

#include "ashlar/blob/home.h"
#include "ashlar/runtime/ops/file.h"

namespace ashlar::blob {

namespace {

/// Makes a directory where there is none, and its name durable: also where it is there already, because who
/// made it may have been killed before that. A parent that may not be read is the business of who made it.
Task<Result<>> ensure_directory(std::string path) {
  const auto made = Shard::current().backend().make_directory(path);
  const bool exists = !made && made.error().code == Errc::exists;
  if (!exists) CO_TRY(made);
  const std::size_t slash = path.find_last_of('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const Result<> synced = co_await sync_directory(parent);
  if (exists && !synced && synced.error().code == Errc::permission) co_return Result<>{};
  co_return synced;
}

class DirectoryHome final : public Home {
 public:
  DirectoryHome(std::string path, DirectoryOptions options) : path_(std::move(path)), options_(options) {
    while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  }

  const std::string& name() const noexcept override { return path_; }
  std::string partition_name(std::uint32_t partition) const override {
    return fmt::format("{}/partition-{:04}", path_, partition);
  }
  Task<Result<std::unique_ptr<Store>>> open_root() override {
    CO_TRY(co_await ensure_directory(path_));
    co_return co_await open_directory(path_, {.reserve_bytes = 0, .direct = options_.direct});
  }
  Task<Result<>> prepare_partition(std::uint32_t partition) override {
    co_return co_await ensure_directory(partition_name(partition));
  }
  Task<Result<std::unique_ptr<Store>>> open_partition(std::uint32_t partition) override {
    co_return co_await open_directory(partition_name(partition), options_);
  }

 private:
  std::string path_;
  DirectoryOptions options_;
};

}  // namespace

std::unique_ptr<Home> directory_home(std::string path, DirectoryOptions options) {
  return std::make_unique<DirectoryHome>(std::move(path), options);
}

}  // namespace ashlar::blob

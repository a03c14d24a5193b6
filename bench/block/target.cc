#include "bench/block/target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "bench/block/random_data.h"

namespace ashlar::bench::block {

namespace {

constexpr std::size_t chunk_bytes = 1 << 20;

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : value_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int value() const noexcept { return value_; }

 private:
  int value_;
};

/// `made`: whether there is a file of ours, also where it was filled in part.
Result<> make_file(const std::string& path, std::uint64_t bytes, bool& made) {
  const Descriptor file(path, O_WRONLY | O_CREAT | O_EXCL);
  made = file.value() >= 0;
  if (!made) return fail_errno(errno, "make the target");
  std::vector<std::byte> data(chunk_bytes);
  for (std::uint64_t at = 0; at < bytes; at += chunk_bytes) {
    fill_random(data, at + 1);
    const std::size_t size = std::min<std::uint64_t>(chunk_bytes, bytes - at);
    if (const ssize_t written = ::pwrite(file.value(), data.data(), size, static_cast<off_t>(at));
        written != static_cast<ssize_t>(size))
      return fail_errno(written < 0 ? errno : ENOSPC, "fill the target");
  }
  if (::fdatasync(file.value()) != 0) return fail_errno(errno, "fill the target");
  return {};
}

}  // namespace

Result<TargetFile> TargetFile::open(const std::string& path, std::uint64_t bytes, bool destroy) {
  TargetFile file;
  file.target_.path = path;
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) {
    if (errno != ENOENT) return fail_errno(errno, "look at the target");
    TRY(make_file(path, bytes, file.made_));
    file.target_.bytes = bytes;
    file.target_.writable = true;
    file.what_ = "file, made for this";
  } else {
    // Not every peer looks whether somebody has claimed what it writes over.
    const Descriptor existing(path, destroy && S_ISBLK(found.st_mode) ? O_RDWR | O_EXCL : O_RDONLY);
    if (existing.value() < 0 && errno == EBUSY)
      return fail_errno(EBUSY, "the target is mounted or part of something else");
    const off_t end = existing.value() < 0 ? -1 : ::lseek(existing.value(), 0, SEEK_END);
    if (end < 0) return fail_errno(errno, "open the target");
    if (!S_ISREG(found.st_mode) && !S_ISBLK(found.st_mode))
      return fail(Errc::invalid, "the target is neither a file nor a block device");
    file.target_.bytes = std::min(bytes, static_cast<std::uint64_t>(end)) & ~std::uint64_t{0xfffff};
    if (file.target_.bytes == 0) return fail(Errc::invalid, "the target is smaller than 1 MiB");
    file.target_.writable = destroy;
    file.what_ = S_ISBLK(found.st_mode) ? "block device" : "file";
    if (!destroy) file.what_ += ", read only";
  }
  file.out_of_page_cache();
  return file;
}

TargetFile::TargetFile(TargetFile&& other) noexcept
    : target_(std::move(other.target_)),
      what_(std::move(other.what_)),
      made_(std::exchange(other.made_, false)) {}

TargetFile::~TargetFile() {
  if (made_) ::unlink(target_.path.c_str());
}

void TargetFile::into_page_cache() const {
  const Descriptor file(target_.path, O_RDONLY);
  std::vector<std::byte> data(chunk_bytes);
  for (std::uint64_t at = 0; at < target_.bytes; at += chunk_bytes) {
    if (::pread(file.value(), data.data(), chunk_bytes, static_cast<off_t>(at)) <= 0) return;
  }
}

void TargetFile::out_of_page_cache() const {
  const Descriptor file(target_.path, O_RDONLY);
  if (target_.writable) ::fdatasync(file.value());
  ::posix_fadvise(file.value(), 0, 0, POSIX_FADV_DONTNEED);
}

}  // namespace ashlar::bench::block

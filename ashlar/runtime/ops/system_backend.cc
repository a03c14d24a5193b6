#include "ashlar/runtime/ops/system_backend.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "ashlar/runtime/ops/machine_clock.h"
#include "ashlar/runtime/ops/page_guard.h"

namespace ashlar {

namespace {

static_assert(int{EFD_NONBLOCK} == int{SOCK_NONBLOCK});  // one flag serves sockets and the eventfd

std::uint64_t random_seed() noexcept {
  std::uint64_t seed = 0;
  while (getrandom(&seed, sizeof seed, 0) != sizeof seed) {
  }
  return seed;
}

/// A descriptor that closes itself unless it is released: set-up calls fail half-way.
class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }
  Handle release() noexcept { return Handle{std::exchange(fd_, -1)}; }

 private:
  int fd_;
};

const sockaddr* sockaddr_of(const Address& address) noexcept {
  return reinterpret_cast<const sockaddr*>(&address.storage);
}

bool set_option(int fd, int level, int option) noexcept {
  const int on = 1;
  return setsockopt(fd, level, option, &on, sizeof on) == 0;
}

/// Whether the socket file was left by a process that is gone: nothing listens there.
bool stale_unix_socket(const Address& address) noexcept {
  struct stat status{};
  const char* path = reinterpret_cast<const sockaddr_un&>(address.storage).sun_path;
  if (::stat(path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe.get() < 0) return false;
  return connect(probe.get(), sockaddr_of(address), address.bytes) != 0 && errno == ECONNREFUSED;
}

bool bind_socket(int fd, const Address& address) noexcept {
  if (bind(fd, sockaddr_of(address), address.bytes) == 0) return true;
  if (errno != EADDRINUSE || address.storage.ss_family != AF_UNIX) return false;
  if (!stale_unix_socket(address)) {
    errno = EADDRINUSE;
    return false;
  }
  ::unlink(reinterpret_cast<const sockaddr_un&>(address.storage).sun_path);
  return bind(fd, sockaddr_of(address), address.bytes) == 0;
}

}  // namespace

SystemBackend::SystemBackend(int socket_flags)
    : socket_flags_(socket_flags | SOCK_STREAM | SOCK_CLOEXEC),
      wake_fd_(eventfd(0, EFD_CLOEXEC | socket_flags)),
      random_(random_seed()) {
  if (wake_fd_ < 0) std::abort();  // no descriptors at start-up: nothing can work
}

SystemBackend::~SystemBackend() {
  ::close(wake_fd_);
}

void SystemBackend::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written =
      ::write(wake_fd_, &one, sizeof one);  // full means it is awake already
}

timespec timespec_of(Duration duration) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  return {.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
}

Instant machine_now() noexcept {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return Instant(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
}

std::uint64_t machine_wall_ms() noexcept {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1000 +
         static_cast<std::uint64_t>(time.tv_nsec) / 1'000'000;
}

Instant SystemBackend::now() const noexcept {
  return machine_now();
}

std::uint64_t SystemBackend::wall_ms() const noexcept {
  return machine_wall_ms();
}

Result<Handle> SystemBackend::listen(const Address& address, const ListenOptions& options) {
  const int family = address.storage.ss_family;
  Descriptor fd(::socket(family, socket_flags_, 0));
  if (fd.get() < 0) return fail_errno(errno, "listen");
  if (family != AF_UNIX) {
    if (!set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR) || !set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY)) {
      return fail_errno(errno, "listen");
    }
    if (options.reuse_port && !set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT))
      return fail_errno(errno, "listen");
  }
  if (family == AF_INET6 && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY))
    return fail_errno(errno, "listen");
  if (!bind_socket(fd.get(), address) || ::listen(fd.get(), options.backlog) != 0) {
    return fail_errno(errno, "listen");
  }
  return fd.release();
}

Result<Handle> SystemBackend::socket(const Address& peer) {
  const int family = peer.storage.ss_family;
  Descriptor fd(::socket(family, socket_flags_, 0));
  if (fd.get() < 0) return fail_errno(errno, "socket");
  if (family != AF_UNIX && !set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY))
    return fail_errno(errno, "socket");
  return fd.release();
}

Result<Handle> SystemBackend::datagram_socket(const Address& local) {
  Descriptor fd(::socket(local.storage.ss_family, SOCK_DGRAM | (socket_flags_ & ~SOCK_STREAM), 0));
  if (fd.get() < 0) return fail_errno(errno, "datagram socket");
  if (local.storage.ss_family == AF_INET6 && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY))
    return fail_errno(errno, "datagram socket");
  if (!bind_socket(fd.get(), local)) return fail_errno(errno, "datagram socket: bind");
  return fd.release();
}

Result<Address> SystemBackend::local_address(Handle socket) {
  Address address;
  address.bytes = sizeof address.storage;
  if (getsockname(socket.value, reinterpret_cast<sockaddr*>(&address.storage), &address.bytes) != 0) {
    return fail_errno(errno, "local address");
  }
  return address;
}

Result<Address> SystemBackend::peer_address(Handle socket) {
  Address address;
  address.bytes = sizeof address.storage;
  if (getpeername(socket.value, reinterpret_cast<sockaddr*>(&address.storage), &address.bytes) != 0) {
    return fail_errno(errno, "peer address");
  }
  return address;
}

Result<std::vector<DirectoryEntry>> SystemBackend::list(const std::string& directory) {
  Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0) return fail_errno(errno, "list directory");
  DIR* stream = fdopendir(opened.get());
  if (stream == nullptr) return fail_errno(errno, "list directory");
  const int fd = opened.release().value;  // the stream's from here on
  std::vector<DirectoryEntry> entries;
  int error = 0;
  for (;;) {
    errno = 0;
    const dirent* found = readdir(stream);  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
    if (found == nullptr) {
      error = errno;
      break;
    }
    const std::string_view name = found->d_name;
    if (name == "." || name == "..") continue;
    struct stat status{};
    if (fstatat(fd, found->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // gone since readdir saw it
      error = errno;
      break;
    }
    const bool regular = S_ISREG(status.st_mode);
    entries.push_back({.name = std::string(name),
                       .directory = S_ISDIR(status.st_mode),
                       .bytes = regular ? static_cast<std::uint64_t>(status.st_size) : 0});
  }
  closedir(stream);
  if (error != 0) return fail_errno(error, "list directory");
  std::ranges::sort(entries, {}, &DirectoryEntry::name);
  return entries;
}

Result<> SystemBackend::make_directory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0) return fail_errno(errno, "make directory");
  return {};
}

Result<std::uint64_t> SystemBackend::file_bytes(Handle file) {
  const off_t end = lseek(file.value, 0, SEEK_END);  // unlike fstat, true of block devices too
  if (end < 0) return fail_errno(errno, "file size");
  return static_cast<std::uint64_t>(end);
}

Result<FileSystemSpace> SystemBackend::space(const std::string& path) {
  struct statvfs status{};
  if (statvfs(path.c_str(), &status) != 0) return fail_errno(errno, "file system space");
  return FileSystemSpace{.free_bytes = std::uint64_t{status.f_bavail} * status.f_frsize,
                         .total_bytes = std::uint64_t{status.f_blocks} * status.f_frsize};
}

// A page behind the end could never be read: what is asked for must be there now. Of a character device only
// the kernel knows.
Result<MappedRange> SystemBackend::map(Handle file, std::uint64_t offset, std::uint64_t bytes,
                                       const MapOptions& options) {
  struct stat status{};
  if (fstat(file.value, &status) != 0) return fail_errno(errno, "map");
  if (!S_ISCHR(status.st_mode)) {
    const std::uint64_t end = TRY(file_bytes(file));
    if (bytes == 0 || offset > end || bytes > end - offset)
      return fail(Errc::invalid, "map: beyond the end", {.offset = offset});
  }
  const int protection = PROT_READ | (options.writable ? PROT_WRITE : 0);
  const int kind = options.sync ? MAP_SHARED_VALIDATE | MAP_SYNC : options.shared ? MAP_SHARED : MAP_PRIVATE;
  void* memory = mmap(nullptr, bytes, protection, kind, file.value, static_cast<off_t>(offset));
  if (memory == MAP_FAILED) return fail_errno(errno, "map", {.offset = offset});
  auto* data = static_cast<std::byte*>(memory);
  PageGuard* guard = PageGuard::watch(data, bytes);
  if (guard == nullptr) {
    munmap(memory, bytes);
    return fail_errno(ENOMEM, "map");
  }
  return MappedRange{data, bytes, guard};
}

Result<Handle> SystemBackend::lock(const std::string& path) {
  Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (fd.get() < 0) return fail_errno(errno, "lock");
  // flock belongs to the open file, not to the process: another shard of this process is refused too.
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return fail_errno(errno, "lock");
  return fd.release();
}

}  // namespace ashlar

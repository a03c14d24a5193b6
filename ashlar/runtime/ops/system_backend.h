#pragma once

/// What the back ends over the operating system have in common: clocks, randomness, wake-up and the set-up
/// calls.

#include <time.h>

#include "ashlar/base/random.h"
#include "ashlar/runtime/ops/backend.h"

namespace ashlar {

/// As the kernel takes it.
timespec timespec_of(Duration duration) noexcept;

/// Base of UringBackend and EpollBackend. A Handle is a file descriptor, opened close-on-exec. Thread safety
/// and lifecycle as Backend.
class SystemBackend : public Backend {
 public:
  SystemBackend(const SystemBackend&) = delete;
  SystemBackend& operator=(const SystemBackend&) = delete;
  ~SystemBackend() override;

  void wake() noexcept final;
  Instant now() const noexcept final;
  std::uint64_t wall_ms() const noexcept final;
  std::uint64_t random() noexcept final { return random_.next(); }

  /// TCP_NODELAY on TCP sockets, inherited by what they accept. A Unix socket left by a dead process is
  /// replaced.
  Result<Handle> listen(const Address& address, const ListenOptions& options) final;
  Result<Handle> socket(const Address& peer) final;
  Result<Handle> datagram_socket(const Address& local) final;
  Result<Address> local_address(Handle socket) final;
  Result<Address> peer_address(Handle socket) final;
  Result<std::vector<DirectoryEntry>> list(const std::string& directory) final;
  Result<> make_directory(const std::string& path) final;
  Result<std::uint64_t> file_bytes(Handle file) final;
  Result<FileSystemSpace> space(const std::string& path) final;
  Result<FileTraits> describe(Handle file) final { return describe_descriptor(file.value); }
  Result<MappedRange> map(Handle file, std::uint64_t offset, std::uint64_t bytes,
                          const MapOptions& options) final;
  Result<Handle> lock(const std::string& path) final;

 protected:
  /// `socket_flags`, for sockets and the eventfd: SOCK_NONBLOCK where readiness is polled, 0 where the kernel
  /// waits.
  explicit SystemBackend(int socket_flags);

  /// An eventfd, readable after wake(): what a wait includes.
  int wake_fd() const noexcept { return wake_fd_; }

 private:
  int socket_flags_;
  int wake_fd_;
  Random random_;
};

}  // namespace ashlar

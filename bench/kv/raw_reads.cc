#include "bench/kv/raw_reads.h"

#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/base/random.h"
#include "bench/machine.h"

namespace ashlar::bench {

namespace {

constexpr std::size_t read_bytes = 4096;
constexpr std::uint64_t keys_per_block = 32;  // of some 120 bytes each

using Memory = std::unique_ptr<std::byte, decltype(&std::free)>;

Memory aligned(std::size_t bytes) {
  return {static_cast<std::byte*>(std::aligned_alloc(read_bytes, bytes)), &std::free};
}

/// Written through, so that reads find blocks and not holes.
Result<> write_file(const std::string& path, std::uint64_t blocks) {
  constexpr std::size_t chunk = 1u << 20;
  const Memory memory = aligned(chunk);
  std::fill_n(memory.get(), chunk, std::byte{0x5a});
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno(errno, "file of raw reads");
  for (std::uint64_t left = blocks * read_bytes; left > 0;) {
    const std::size_t bytes = std::min<std::uint64_t>(left, chunk);
    if (::write(fd, memory.get(), bytes) != static_cast<ssize_t>(bytes))
      return fail_errno(errno, "file of raw reads");
    left -= bytes;
  }
  ::fsync(fd);
  ::close(fd);
  return {};
}

class Reader {
 public:
  Reader(int fd, std::uint64_t blocks, unsigned depth)
      : fd_(fd), blocks_(blocks), memory_(aligned(depth * read_bytes)), begun_(depth) {
    ok_ = ::io_uring_queue_init(depth, &ring_, 0) == 0;
  }
  ~Reader() {
    if (ok_) ::io_uring_queue_exit(&ring_);
    ::close(fd_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Result<Outcome> run(const Plan& plan, bool polled) {
    if (!ok_) return fail_errno(errno, "io_uring");
    const double per_ns = cycles_per_second() * 1e-9;
    const std::uint64_t begin = cycles();
    const auto end = begin + static_cast<std::uint64_t>(plan.seconds * 1e9 * per_ns);
    for (unsigned slot = 0; slot < begun_.size(); ++slot) submit(slot);
    Outcome outcome;
    for (unsigned in_flight = static_cast<unsigned>(begun_.size()); in_flight != 0;) {
      ::io_uring_submit_and_wait(&ring_, polled ? 0 : 1);
      io_uring_cqe* done = nullptr;
      while (::io_uring_peek_cqe(&ring_, &done) == 0) {
        if (done->res != static_cast<int>(read_bytes)) return fail_errno(-done->res, "raw read");
        const auto slot = static_cast<unsigned>(done->user_data);
        ::io_uring_cqe_seen(&ring_, done);
        const std::uint64_t now = cycles();
        outcome.latency_ns.record(
            static_cast<std::uint64_t>(static_cast<double>(now - begun_[slot]) / per_ns));
        ++outcome.operations;
        if (now < end) {
          submit(slot);
        } else {
          --in_flight;
        }
      }
    }
    outcome.seconds = static_cast<double>(cycles() - begin) / per_ns * 1e-9;
    return outcome;
  }

 private:
  void submit(unsigned slot) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    ::io_uring_prep_read(entry, fd_, memory_.get() + slot * read_bytes, read_bytes,
                         random_.below(blocks_) * read_bytes);
    entry->user_data = slot;
    begun_[slot] = cycles();
  }

  io_uring ring_{};
  int fd_;
  std::uint64_t blocks_;
  Memory memory_;
  std::vector<std::uint64_t> begun_;
  Random random_{1};
  bool ok_ = false;
};

}  // namespace

Result<Outcome> run_raw_reads(const std::string& directory, const Plan& plan, bool polled, Meter& meter) {
  const std::string path = directory + "/raw";
  const std::uint64_t blocks = plan.keys / keys_per_block + 1;
  TRY(write_file(path, blocks));
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (fd < 0) return fail_errno(errno, "file of raw reads");
  Reader reader(fd, blocks, plan.workers);
  meter.begin();
  auto outcome = reader.run(plan, polled);
  meter.end();
  return outcome;
}

}  // namespace ashlar::bench

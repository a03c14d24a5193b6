#include "ashlar/runtime/ops/send_file.h"

#include <algorithm>
#include <cerrno>

#include "ashlar/base/units.h"

namespace ashlar {

namespace {

constexpr std::uint64_t piece_bytes = 256_KiB;

class SendFileAwaiter final : public CancellableAwaiter {
 public:
  SendFileAwaiter(Handle to, Handle from, std::uint64_t at, std::uint64_t bytes) noexcept {
    code = OpCode::send_file;
    handle = to;
    source = from;
    offset = at;
    length = bytes;
    where_ = "send file";
  }
  Result<std::uint64_t> await_resume() const noexcept {
    if (result < 0) [[unlikely]]
      return std::unexpected(status().error());
    return static_cast<std::uint64_t>(result);
  }
};

Task<Result<std::uint64_t>> send_through_memory(const Socket& to, const File& from, std::uint64_t offset,
                                                std::uint64_t bytes) {
  const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate(piece_bytes));
  std::uint64_t sent = 0;
  while (sent < bytes) {
    const auto size = static_cast<std::size_t>(std::min(piece_bytes, bytes - sent));
    const std::size_t got = CO_TRY(co_await from.read(buffer.bytes().first(size), offset + sent));
    if (got != 0) CO_TRY(co_await to.send_zero_copy(buffer, got));
    sent += got;
    if (got < size) break;
  }
  co_return sent;
}

}  // namespace

Task<Result<std::uint64_t>> send_file(const Socket& to, const File& from, std::uint64_t offset,
                                      std::uint64_t bytes) {
  if (bytes == 0) co_return 0;
  const auto sent = co_await SendFileAwaiter(to.handle(), from.handle(), offset, bytes);
  if (sent || sent.error().native != EOPNOTSUPP) co_return sent;
  co_return co_await send_through_memory(to, from, offset, bytes);
}

}  // namespace ashlar

#pragma once

/// Stream sockets, as tasks see them. Datagrams: ops/datagram.h. Files to sockets: ops/send_file.h.
///
///   AcceptStream accepts(listener);                      // multishot: one operation, many connections
///   while (auto socket = co_await accepts.next()) {
///     scope.spawn(serve(std::move(*socket)));
///   }
///
///   ReceiveStream input(socket);                         // multishot: buffers come from the shard's pool
///   ReceivedBytes bytes = CO_TRY(co_await input.next()); // empty at the end; goes back to the pool by
///   itself CO_TRY(co_await input.read_exact(payload));          // or straight into the caller's memory
///   CO_TRY(co_await socket.send(reply));

#include <cstdint>
#include <span>
#include <utility>

#include "ashlar/base/bytes.h"
#include "ashlar/runtime/ops/operation_awaiter.h"
#include "ashlar/runtime/task/task.h"

namespace ashlar {

/// Result<>: all bytes sent, or an error (`closed` where the peer is gone).
class SendAwaiter final : public CancellableAwaiter {
 public:
  SendAwaiter(Handle on, Bytes from) noexcept : SendAwaiter(on) {
    data = const_cast<std::byte*>(from.data());  // the back end only reads it
    length = from.size();
  }
  /// Without a copy, from one buffer; of a registered region, or no_region.
  SendAwaiter(Handle on, Bytes from, std::uint32_t of) noexcept : SendAwaiter(on, from) {
    zero_copy = true;
    region = of;
  }
  SendAwaiter(Handle on, std::span<iovec> from) noexcept : SendAwaiter(on) {
    vectors = from.data();
    vector_count = static_cast<std::uint32_t>(from.size());
  }
  Result<> await_resume() const noexcept { return status(); }

 private:
  explicit SendAwaiter(Handle on) noexcept {
    code = OpCode::send;
    handle = on;
    where_ = "send";
  }
};

/// Result<std::size_t>: bytes received; 0 at the end of the stream.
class ReceiveAwaiter final : public CancellableAwaiter {
 public:
  ReceiveAwaiter(Handle on, MutableBytes into, bool all) noexcept {
    code = OpCode::receive;
    handle = on;
    data = into.data();
    length = into.size();
    receive_all = all;
    where_ = "receive";
  }
  Result<std::size_t> await_resume() const noexcept {
    if (result < 0) [[unlikely]]
      return std::unexpected(status().error());
    return static_cast<std::size_t>(result);
  }
};

class ConnectAwaiter final : public CancellableAwaiter {
 public:
  ConnectAwaiter(Handle on, const Address& to) noexcept : to_(to) {
    code = OpCode::connect;
    handle = on;
    path2 = reinterpret_cast<const char*>(&to_.storage);
    address_bytes = to_.bytes;
    where_ = "connect";
  }
  Result<> await_resume() const noexcept { return status(); }

 private:
  Address to_;
};

/// A connected (or connecting) stream socket. Owner: one shard; move-only; closed in the background when
/// destroyed. Small replies leave at once (TCP_NODELAY).
class Socket {
 public:
  Socket() = default;
  explicit Socket(Handle handle) noexcept : handle_(handle) {}
  Socket(Socket&& other) noexcept : handle_(std::exchange(other.handle_, Handle{})) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Socket();

  static Task<Result<Socket>> connect(Address peer);

  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }
  Handle handle() const noexcept { return handle_; }
  Result<Address> peer() const { return Shard::current().backend().peer_address(handle_); }

  SendAwaiter send(Bytes from) const noexcept { return {handle_, from}; }
  /// The same without a copy where back end, kernel and socket have such a way (io_uring, Linux 6.0, TCP),
  /// else with one. Ends only once the kernel has let go of the memory, a round trip after the last byte went
  /// out: for 16 KiB and more, of which others are on their way meanwhile.
  SendAwaiter send_zero_copy(Bytes from) const noexcept { return {handle_, from, no_region}; }
  /// From a buffer of the shard's pool: where its region is registered (Backend::register_region), without
  /// pinning its pages either.
  SendAwaiter send_zero_copy(const IoBuffer& buffer, std::size_t bytes) const noexcept {
    return {handle_, Bytes(buffer.bytes().first(bytes)), buffer.region()};
  }
  /// The same from several buffers in one message; `vectors` is used up and must live until completion.
  SendAwaiter send(std::span<iovec> vectors) const noexcept { return {handle_, vectors}; }
  /// At least one byte, or 0 at the end. Not while a ReceiveStream is running on the socket.
  ReceiveAwaiter receive(MutableBytes into) const noexcept { return {handle_, into, false}; }
  /// All of `into`; fewer bytes only at the end.
  ReceiveAwaiter receive_all(MutableBytes into) const noexcept { return {handle_, into, true}; }
  /// Ends both directions; the peer sees the end of the stream, and pending receives complete.
  void shutdown() const noexcept;

 private:
  Handle handle_;
};

/// A listening socket. Owner: one shard.
class Listener {
 public:
  Listener() = default;
  static Result<Listener> open(const Address& address, const ListenOptions& options = {});
  Result<Address> address() const { return Shard::current().backend().local_address(socket_.handle()); }
  Handle handle() const noexcept { return socket_.handle(); }

 private:
  Socket socket_;
};

}  // namespace ashlar

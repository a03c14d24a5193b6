#pragma once

/// Datagram sockets (UDP, Unix), as tasks see them.
///
///   DatagramSocket socket = CO_TRY(DatagramSocket::open(CO_TRY(Address::parse("127.0.0.1:0"))));
///   CO_TRY(co_await socket.send_to(peer, as_bytes("hello")));
///   const Datagram got = CO_TRY(co_await socket.receive(memory));    // got.from, memory.first(got.bytes)

#include <cstdint>
#include <utility>

#include "ashlar/base/bytes.h"
#include "ashlar/runtime/ops/operation_awaiter.h"

namespace ashlar {

/// What arrived.
struct Datagram {
  Address from;
  std::size_t bytes = 0;   ///< in the caller's memory
  bool truncated = false;  ///< it was larger: the rest is lost
};

class SendToAwaiter final : public CancellableAwaiter {
 public:
  SendToAwaiter(Handle on, const Address& to, Bytes from) noexcept : to_(to) {
    code = OpCode::send_to;
    handle = on;
    data = const_cast<std::byte*>(from.data());  // the back end only reads it
    length = from.size();
    path2 = reinterpret_cast<const char*>(&to_.storage);
    address_bytes = to_.bytes;
    where_ = "send datagram";
  }
  Result<> await_resume() const noexcept { return status(); }

 private:
  Address to_;
};

class ReceiveFromAwaiter final : public CancellableAwaiter {
 public:
  ReceiveFromAwaiter(Handle on, MutableBytes into) noexcept {
    code = OpCode::receive_from;
    handle = on;
    data = into.data();
    length = into.size();
    path2 = reinterpret_cast<const char*>(&from_.storage);
    address_bytes = sizeof from_.storage;
    where_ = "receive datagram";
  }
  Result<Datagram> await_resume() noexcept {
    if (result < 0) [[unlikely]]
      return std::unexpected(status().error());
    from_.bytes = address_bytes;
    const auto size = static_cast<std::uint64_t>(result);
    return Datagram{from_, size < length ? size : length, size > length};
  }

 private:
  Address from_;
};

/// A bound datagram socket. Owner: one shard; move-only; closed in the background when destroyed. Datagrams
/// are lost, doubled and reordered as the network likes; many may be sent and received at once.
class DatagramSocket {
 public:
  DatagramSocket() = default;
  DatagramSocket(DatagramSocket&& other) noexcept : handle_(std::exchange(other.handle_, Handle{})) {}
  DatagramSocket& operator=(DatagramSocket&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~DatagramSocket();

  /// Bound to an address of this host; port 0: a free one.
  static Result<DatagramSocket> open(const Address& local);

  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }
  Result<Address> address() const { return Shard::current().backend().local_address(handle_); }

  /// One datagram; `too_large` beyond what the network carries (UDP: 65,507 bytes).
  SendToAwaiter send_to(const Address& to, Bytes datagram) const noexcept { return {handle_, to, datagram}; }
  ReceiveFromAwaiter receive(MutableBytes into) const noexcept { return {handle_, into}; }

 private:
  Handle handle_;
};

}  // namespace ashlar

#include "ashlar/runtime/ops/socket.h"

#include "ashlar/runtime/ops/detached_close.h"

namespace ashlar {

Socket::~Socket() {
  if (handle_) close_detached(handle_);
}

Task<Result<Socket>> Socket::connect(Address peer) {
  Socket socket(CO_TRY(Shard::current().backend().socket(peer)));
  CO_TRY(co_await ConnectAwaiter(socket.handle(), peer));
  co_return socket;
}

void Socket::shutdown() const noexcept {
  auto* operation = new Operation;
  operation->code = OpCode::shutdown;
  operation->handle = handle_;
  operation->complete = [](Operation& done) noexcept { delete &done; };
  Shard::current().backend().submit(*operation);
}

Result<Listener> Listener::open(const Address& address, const ListenOptions& options) {
  Listener listener;
  listener.socket_ = Socket(TRY(Shard::current().backend().listen(address, options)));
  return listener;
}

}  // namespace ashlar

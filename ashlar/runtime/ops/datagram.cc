#include "ashlar/runtime/ops/datagram.h"

#include "ashlar/runtime/ops/detached_close.h"

namespace ashlar {

DatagramSocket::~DatagramSocket() {
  if (handle_) close_detached(handle_);
}

Result<DatagramSocket> DatagramSocket::open(const Address& local) {
  DatagramSocket socket;
  socket.handle_ = TRY(Shard::current().backend().datagram_socket(local));
  return socket;
}

}  // namespace ashlar

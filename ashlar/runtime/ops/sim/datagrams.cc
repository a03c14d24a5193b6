/// Simulated datagrams: each takes its own time, so that they overtake each other; some are lost, some arrive
/// twice. What nobody listens for, what crosses a partition, and what an inbox has no room for is gone,
/// without a word to the sender.

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ashlar/runtime/ops/sim/network.h"
#include "ashlar/runtime/ops/sim/sim_backend.h"

namespace ashlar::sim {

namespace {

constexpr std::uint64_t datagram_bytes_max = 65'507;  // what UDP over IPv4 carries

}  // namespace

Result<std::shared_ptr<SimSocket>> Network::datagram_socket(SimBackend& owner, const Address& local) {
  auto made = make(owner);
  made->local = local;
  if (local.storage.ss_family != AF_UNIX && local.port() == 0) {
    do {
      made->local.set_port(next_port_++);
    } while (datagram_sockets_.contains({made->host, place_of(made->local)}));
  }
  const auto [place, free] = datagram_sockets_.emplace(Key{made->host, place_of(made->local)}, made);
  if (!free) return fail_errno(EADDRINUSE, "datagram socket");
  made->state = SimSocket::State::datagrams;
  return made;
}

int Network::send_datagram(SimSocket& from, const Operation& operation) {
  if (from.state != SimSocket::State::datagrams) return EINVAL;
  if (operation.length > datagram_bytes_max) return EMSGSIZE;
  Address to;
  std::memcpy(&to.storage, operation.path2, operation.address_bytes);
  to.bytes = operation.address_bytes;
  const Key place{host_of(to, from.host), place_of(to)};
  const bool lost = options_.drop_one_in != 0 && random_.one_in(options_.drop_one_in);
  if (lost || partitioned(from.host, place.first)) return 0;
  const SimSocket::Datagram datagram{from.local, {operation.data, operation.data + operation.length}};
  const bool twice = options_.duplicate_one_in != 0 && random_.one_in(options_.duplicate_one_in);
  for (int i = 0; i < (twice ? 2 : 1); ++i)
    events_.after(options_.latency.draw(random_), [this, place, datagram] { arrive(place, datagram); });
  return 0;
}

void Network::arrive(const Key& at, const SimSocket::Datagram& datagram) {
  const auto found = datagram_sockets_.find(at);
  const auto socket = found == datagram_sockets_.end() ? nullptr : found->second.lock();
  if (socket == nullptr || socket->inbox_bytes + datagram.bytes.size() > options_.socket_buffer_bytes) return;
  socket->inbox_bytes += datagram.bytes.size();
  socket->inbox.push_back(datagram);
  activate(*socket);
}

void Network::progress_datagrams(SimSocket& socket) {
  while (!socket.receives.empty() && !socket.inbox.empty()) {
    Operation& operation = *socket.receives.front();
    socket.receives.pop_front();
    const SimSocket::Datagram datagram = std::move(socket.inbox.front());
    socket.inbox.pop_front();
    socket.inbox_bytes -= datagram.bytes.size();
    std::memcpy(const_cast<char*>(operation.path2), &datagram.from.storage, sizeof datagram.from.storage);
    operation.address_bytes = datagram.from.bytes;
    const std::size_t fits = std::min<std::size_t>(operation.length, datagram.bytes.size());
    if (fits != 0) std::memcpy(operation.data, datagram.bytes.data(), fits);
    operation.backend_data = 0;
    socket.owner->deliver(operation, static_cast<std::int64_t>(datagram.bytes.size()), false);
  }
}

}  // namespace ashlar::sim

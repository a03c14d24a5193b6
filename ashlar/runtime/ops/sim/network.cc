#include "ashlar/runtime/ops/sim/network.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ashlar/runtime/ops/sim/sim_backend.h"
#include "ashlar/runtime/ops/transfer.h"

namespace ashlar::sim {

namespace {

constexpr Duration connect_retry = std::chrono::milliseconds(200);
constexpr unsigned connect_attempts = 10;

/// Copies to or from the operation's memory and advances it.
void transfer(Operation& operation, std::byte* other, std::uint64_t bytes, bool into_operation) noexcept {
  while (bytes != 0) {
    std::byte* at = nullptr;
    std::uint64_t part = bytes;
    if (operation.vectors == nullptr) {
      at = operation.data + operation.transferred;
    } else {
      at = static_cast<std::byte*>(operation.vectors->iov_base);
      part = std::min<std::uint64_t>(bytes, operation.vectors->iov_len);
    }
    if (part != 0) std::memcpy(into_operation ? at : other, into_operation ? other : at, part);
    advance(operation, part);
    other += part;
    bytes -= part;
  }
}

std::uint32_t ipv4(const Address& address) noexcept {
  return ntohl(reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr.s_addr);
}

}  // namespace

unsigned Network::host_of(const Address& address, unsigned from) noexcept {
  const bool private_address = address.storage.ss_family == AF_INET && ipv4(address) >> 24 == 10;
  return private_address ? ipv4(address) & 0xff'ffff : from;
}

std::string Network::place_of(const Address& address) {
  if (address.storage.ss_family == AF_UNIX)
    return reinterpret_cast<const sockaddr_un&>(address.storage).sun_path;
  return std::to_string(address.port());
}

Duration Latency::draw(Random& random) const {
  const Duration span = max - min;
  const Duration drawn =
      min + Duration(static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(span.count()) + 1)));
  return random.one_in(64) ? drawn * 10 : drawn;
}

void Network::activate(SimSocket& socket) {
  if (socket.owner != nullptr) socket.owner->activate(socket);
}

void Network::forget(const SimBackend& owner) {
  for (const auto& weak : sockets_) {
    if (const auto socket = weak.lock(); socket != nullptr && socket->owner == &owner)
      socket->owner = nullptr;
  }
}

std::shared_ptr<SimSocket> Network::make(SimBackend& owner) {
  auto made = std::make_shared<SimSocket>();
  made->owner = &owner;
  made->host = owner.host();
  std::erase_if(sockets_, [](const std::weak_ptr<SimSocket>& socket) { return socket.expired(); });
  sockets_.push_back(made);
  return made;
}

std::shared_ptr<SimSocket> Network::socket(SimBackend& owner) {
  return make(owner);
}

Result<std::shared_ptr<SimSocket>> Network::listen(SimBackend& owner, const Address& address,
                                                   const ListenOptions& options) {
  auto made = make(owner);
  made->local = address;
  if (address.storage.ss_family != AF_UNIX && address.port() == 0) {
    do {
      made->local.set_port(next_port_++);
    } while (listeners_.contains({made->host, place_of(made->local)}));
  }
  auto& others = listeners_[{made->host, place_of(made->local)}];
  const bool shared =
      options.reuse_port && std::ranges::all_of(others, [](const auto& l) { return l->reuse_port; });
  if (!others.empty() && !shared) return fail_errno(EADDRINUSE, "listen");
  made->state = SimSocket::State::listening;
  made->reuse_port = options.reuse_port;
  made->backlog_max = static_cast<std::size_t>(std::max(options.backlog, 1));
  others.push_back(made);
  return made;
}

void Network::start(SimSocket& socket, Operation& operation) {
  operation.backend_data = reinterpret_cast<std::uint64_t>(&socket);
  const auto refuse = [&](int error) {
    operation.backend_data = 0;
    socket.owner->finish_later(operation, -error);
  };
  const bool connected = socket.state == SimSocket::State::connected;
  switch (operation.code) {
    case OpCode::accept:
      if (socket.state != SimSocket::State::listening) return refuse(EINVAL);
      socket.accepts.push_back(&operation);
      break;
    case OpCode::connect: {
      if (socket.state != SimSocket::State::fresh) return refuse(EISCONN);
      std::memcpy(&socket.peer.storage, operation.path2, operation.address_bytes);
      socket.peer.bytes = operation.address_bytes;
      socket.state = SimSocket::State::connecting;
      socket.connects.push_back(&operation);
      const Key to{host_of(socket.peer, socket.host), place_of(socket.peer)};
      events_.after(options_.latency.draw(random_),
                    [this, client = socket.shared_from_this(), to] { reach(client, to, 1); });
      return;
    }
    case OpCode::receive:
    case OpCode::receive_multishot:
      if (!connected) return refuse(ENOTCONN);
      socket.receives.push_back(&operation);
      break;
    case OpCode::send_to: return refuse(send_datagram(socket, operation));
    case OpCode::receive_from:
      if (socket.state != SimSocket::State::datagrams) return refuse(EINVAL);
      socket.receives.push_back(&operation);
      break;
    case OpCode::send_file: return refuse(EOPNOTSUPP);  // whoever asks reads it and sends that
    case OpCode::send:
      if (!connected) return refuse(socket.error != 0 ? socket.error : EPIPE);
      socket.sends.push_back(&operation);
      break;
    default: shut_down(socket); return refuse(0);
  }
  activate(socket);
}

void Network::cancel(SimSocket& socket, Operation& operation) {
  for (auto* queue : {&socket.accepts, &socket.connects, &socket.receives, &socket.sends}) {
    if (std::erase(*queue, &operation) == 0) continue;
    const bool partial = operation.transferred != 0 && operation.code == OpCode::receive;
    operation.backend_data = 0;
    socket.owner->finish_later(operation,
                               partial ? static_cast<std::int64_t>(operation.transferred) : -ECANCELED);
  }
  if (socket.closing && !socket.busy()) tear_down(socket);
}

// A client's connection request arrives at the host it is addressed to.
void Network::reach(const std::shared_ptr<SimSocket>& client, const Key& to, unsigned attempt) {
  if (client->state != SimSocket::State::connecting) return;
  const auto conclude = [&](int error) {
    client->error = error;
    client->state = error == 0 ? SimSocket::State::connected : SimSocket::State::fresh;
    activate(*client);
  };
  const auto found = listeners_.find(to);
  const bool listening = found != listeners_.end() && !found->second.empty();
  const bool lost = partitioned(client->host, to.first);
  if (!listening && !lost) return conclude(ECONNREFUSED);
  const auto listener = listening ? found->second[random_.below(found->second.size())] : nullptr;
  if (lost || listener->backlog.size() >= listener->backlog_max) {  // the request is dropped, and sent again
    if (attempt == connect_attempts) return conclude(ETIMEDOUT);
    events_.after(connect_retry, [this, client, to, attempt] { reach(client, to, attempt + 1); });
    return;
  }
  auto server = make(*listener->owner);
  client->local = ephemeral(client->peer);
  server->local = listener->local;
  server->peer = client->local;
  server->state = SimSocket::State::connected;
  server->other = client;
  client->other = server;
  listener->backlog.push_back(std::move(server));
  activate(*listener);
  conclude(0);
}

Address Network::ephemeral(const Address& like) {
  Address address = like;
  if (like.storage.ss_family != AF_UNIX) address.set_port(next_port_++);
  return address;
}

void Network::progress(SimSocket& socket) {
  if (socket.state == SimSocket::State::connected || socket.state == SimSocket::State::fresh) {
    while (!socket.connects.empty()) {
      Operation& operation = *socket.connects.front();
      socket.connects.pop_front();
      operation.backend_data = 0;
      socket.owner->deliver(operation, -socket.error, false);
    }
  }
  if (socket.state == SimSocket::State::datagrams) {
    progress_datagrams(socket);
  } else {
    progress_accepts(socket);
    progress_receives(socket);
    progress_sends(socket);
  }
  if (socket.closing && !socket.busy()) tear_down(socket);
}

void Network::progress_accepts(SimSocket& socket) {
  while (!socket.accepts.empty() && (!socket.backlog.empty() || socket.ended)) {
    Operation& operation = *socket.accepts.front();
    if (socket.ended) {
      socket.accepts.pop_front();
      operation.backend_data = 0;
      socket.owner->deliver(operation, -EINVAL, false);
      continue;
    }
    auto accepted = std::move(socket.backlog.front());
    socket.backlog.pop_front();
    socket.owner->deliver(operation, socket.owner->add(std::move(accepted)).value, true);
  }
}

void Network::progress_receives(SimSocket& socket) {
  const std::size_t before = socket.available();
  while (!socket.receives.empty()) {
    Operation& operation = *socket.receives.front();
    const bool multishot = operation.code == OpCode::receive_multishot;
    if (socket.available() != 0) {
      if (!(multishot ? receive_into_pool(socket, operation) : receive_into_memory(socket, operation))) break;
    } else if (socket.ended || socket.error != 0) {
      socket.receives.pop_front();
      operation.backend_data = 0;
      const bool partial = operation.transferred != 0 || socket.error == 0;
      socket.owner->deliver(
          operation, partial ? static_cast<std::int64_t>(operation.transferred) : -socket.error, false);
    } else {
      break;
    }
  }
  if (socket.taken == socket.arrived.size()) {
    socket.arrived.clear();
    socket.taken = 0;
  }
  if (socket.available() >= before) return;
  if (const auto sender = socket.other.lock()) activate(*sender);  // there is room again
}

// Returns whether there may be more to do.
bool Network::receive_into_pool(SimSocket& socket, Operation& operation) {
  ReceiveBuffer* buffer = socket.owner->take_buffer();
  if (buffer == nullptr) {
    socket.owner->starve(socket);
    return false;
  }
  const std::size_t room = socket.owner->receive_buffer_bytes();
  buffer->size = static_cast<std::uint32_t>(std::min(room, socket.available()));
  std::memcpy(buffer->data, socket.arrived.data() + socket.taken, buffer->size);
  socket.taken += buffer->size;
  operation.buffer = buffer;
  socket.owner->deliver(operation, buffer->size, true);
  return true;
}

bool Network::receive_into_memory(SimSocket& socket, Operation& operation) {
  const std::uint64_t bytes = std::min<std::uint64_t>(bytes_left(operation), socket.available());
  transfer(operation, socket.arrived.data() + socket.taken, bytes, true);
  socket.taken += bytes;
  if (operation.receive_all && bytes_left(operation) != 0) return socket.ended || socket.error != 0;
  socket.receives.pop_front();
  operation.backend_data = 0;
  socket.owner->deliver(operation, static_cast<std::int64_t>(operation.transferred), false);
  return true;
}

void Network::progress_sends(SimSocket& socket) {
  while (!socket.sends.empty()) {
    Operation& operation = *socket.sends.front();
    const auto peer = socket.other.lock();
    const bool gone = peer == nullptr || peer->state == SimSocket::State::closed;
    if (socket.error == 0 && !socket.shut && !gone) {
      const std::size_t queued = peer->transit_bytes + peer->available();
      const std::size_t room = options_.socket_buffer_bytes - std::min(queued, options_.socket_buffer_bytes);
      std::uint64_t bytes = std::min<std::uint64_t>(bytes_left(operation), room);
      while (bytes != 0) {
        std::vector<std::byte> piece(options_.fragment ? random_.skewed(1, bytes) : bytes);
        transfer(operation, piece.data(), piece.size(), false);
        bytes -= piece.size();
        send_segment(*peer, std::move(piece));
      }
      if (bytes_left(operation) != 0) return;
      if (options_.reset_one_in != 0 && random_.one_in(options_.reset_one_in)) reset(socket);
    }
    const bool sent = bytes_left(operation) == 0;
    socket.sends.pop_front();
    operation.backend_data = 0;
    socket.owner->deliver(operation,
                          sent                ? static_cast<std::int64_t>(operation.transferred)
                          : socket.error != 0 ? -socket.error
                                              : -EPIPE,
                          false);
  }
}

// Streams keep their order: nothing overtakes what was sent before.
void Network::send_segment(SimSocket& to, std::vector<std::byte> bytes) {
  to.last_arrival = std::max(to.last_arrival, events_.time() + options_.latency.draw(random_));
  to.transit_bytes += bytes.size();
  to.transit.push_back({to.last_arrival, std::move(bytes)});
  events_.at(to.last_arrival, [this, socket = to.shared_from_this()] { deliver(*socket); });
}

void Network::deliver(SimSocket& socket) {
  const auto sender = socket.other.lock();
  if (sender != nullptr && partitioned(socket.host, sender->host)) return;
  bool any = false;
  while (!socket.transit.empty() && socket.transit.front().when <= events_.time()) {
    const auto& bytes = socket.transit.front().bytes;
    socket.transit_bytes -= bytes.size();
    socket.arrived.insert(socket.arrived.end(), bytes.begin(), bytes.end());
    socket.ended |= bytes.empty();
    socket.transit.pop_front();
    any = true;
  }
  if (any && socket.state != SimSocket::State::closed) activate(socket);
}

void Network::heal() {
  partitions_.clear();
  for (const auto& weak : sockets_) {
    if (const auto socket = weak.lock()) deliver(*socket);
  }
}

void Network::reset(SimSocket& socket) {
  const auto other = socket.other.lock();
  for (SimSocket* end : {&socket, other.get()}) {
    if (end == nullptr || end->state != SimSocket::State::connected) continue;
    end->error = ECONNRESET;
    end->transit.clear();
    end->transit_bytes = 0;
    activate(*end);
  }
}

void Network::shut_down(SimSocket& socket) {
  socket.ended = true;
  activate(socket);
  if (std::exchange(socket.shut, true) || socket.error != 0) return;
  if (const auto other = socket.other.lock()) send_segment(*other, {});
}

// The last user of a closed socket has gone. Bytes that nobody read make it a reset, as in TCP.
void Network::close(SimSocket& socket) {
  socket.closing = true;
  if (!socket.busy()) tear_down(socket);
}

void Network::tear_down(SimSocket& socket) {
  if (socket.state == SimSocket::State::closed) return;
  if (socket.state == SimSocket::State::listening) {
    const auto found = listeners_.find({socket.host, place_of(socket.local)});
    std::erase_if(found->second, [&](const auto& listener) { return listener.get() == &socket; });
    if (found->second.empty()) listeners_.erase(found);
    for (const auto& waiting : socket.backlog) reset(*waiting);
    socket.backlog.clear();
  } else if (socket.state == SimSocket::State::datagrams) {
    datagram_sockets_.erase({socket.host, place_of(socket.local)});
  } else if (socket.state == SimSocket::State::connected && socket.error == 0) {
    if (socket.available() != 0) {
      reset(socket);
    } else if (!socket.shut) {
      if (const auto other = socket.other.lock()) send_segment(*other, {});
    }
  }
  socket.state = SimSocket::State::closed;
  if (const auto other = socket.other.lock()) activate(*other);
}

void Network::power_off() {
  for (const auto& weak : sockets_) {
    const auto socket = weak.lock();
    if (socket == nullptr) continue;
    for (auto* queue : {&socket->accepts, &socket->connects, &socket->receives, &socket->sends}) {
      for (Operation* operation : std::exchange(*queue, {})) {
        operation->backend_data = 0;
        socket->owner->finish_later(*operation, -EIO);
      }
    }
  }
}

}  // namespace ashlar::sim

#pragma once

/// A simulated network: listeners, connections and byte streams that are slow, fragmented, cut or
/// partitioned.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/base/random.h"
#include "ashlar/runtime/ops/backend.h"
#include "ashlar/runtime/ops/sim/event_queue.h"

namespace ashlar::sim {

class SimBackend;

/// A range that delays are drawn from; now and then one takes ten times as long.
struct Latency {
  Duration min;
  Duration max;
  Duration draw(Random& random) const;
};

struct NetworkOptions {
  Latency latency{std::chrono::microseconds(10), std::chrono::microseconds(200)};
  std::size_t socket_buffer_bytes = 64 * 1024;  ///< sent and not yet received; a sender waits beyond
  std::uint32_t drop_one_in = 0;                ///< datagrams of which one is lost; 0 for none
  std::uint32_t duplicate_one_in = 0;           ///< datagrams of which one arrives twice; 0 for none
  std::uint32_t reset_one_in = 0;               ///< sends after which the connection is reset; 0 for never
  bool fragment = true;                         ///< streams arrive in pieces of any size
};

/// One end of a connection, or a listener. Lives while a handle, an operation or something in transit refers
/// to it.
struct SimSocket : std::enable_shared_from_this<SimSocket> {
  enum class State : std::uint8_t { fresh, listening, connecting, connected, datagrams, closed };
  struct Datagram {
    Address from;
    std::vector<std::byte> bytes;
  };
  struct Segment {
    Instant when;
    std::vector<std::byte> bytes;  // empty: the end of the stream
  };

  SimBackend* owner = nullptr;
  unsigned host = 0;
  State state = State::fresh;
  Address local;
  Address peer;
  int error = 0;  // what connect, receive and send fail with

  bool reuse_port = false;
  std::size_t backlog_max = 0;
  std::deque<std::shared_ptr<SimSocket>> backlog;

  std::deque<Datagram> inbox;
  std::size_t inbox_bytes = 0;

  std::weak_ptr<SimSocket> other;
  std::deque<Segment> transit;  // on its way here
  std::size_t transit_bytes = 0;
  Instant last_arrival{};
  std::vector<std::byte> arrived;
  std::size_t taken = 0;  // of `arrived`
  bool ended = false;     // nothing arrives any more
  bool shut = false;      // nothing may be sent any more
  bool closing = false;   // its handle is closed; operations still hold it
  bool active = false;    // in its owner's list of sockets to look at

  std::deque<Operation*> accepts, connects, receives, sends;
  std::size_t available() const noexcept { return arrived.size() - taken; }
  bool busy() const noexcept {
    return !accepts.empty() || !connects.empty() || !receives.empty() || !sends.empty();
  }
};

/// Shared by the back ends of a world. Every host has the loopback addresses to itself, and host n
/// is 10.0.0.n (n from 1; host 0 is the one that tests with a single host use). Operations are carried out in
/// progress(), which a back end calls in its poll() for every socket that was activated. Not thread-safe.
class Network {
 public:
  Network(EventQueue& events, std::uint64_t seed, const NetworkOptions& options)
      : events_(events), random_(seed), options_(options) {}

  Result<std::shared_ptr<SimSocket>> listen(SimBackend& owner, const Address& address,
                                            const ListenOptions& options);
  std::shared_ptr<SimSocket> socket(SimBackend& owner);
  Result<std::shared_ptr<SimSocket>> datagram_socket(SimBackend& owner, const Address& local);

  void start(SimSocket& socket, Operation& operation);
  void cancel(SimSocket& socket, Operation& operation);
  /// Carries out what has become possible.
  void progress(SimSocket& socket);
  void close(SimSocket& socket);

  /// Cuts a connection: both ends see ECONNRESET.
  void reset(SimSocket& socket);
  /// Nothing passes between two hosts until heal(); what is sent meanwhile arrives then.
  void partition(unsigned a, unsigned b) { partitions_.insert(std::minmax(a, b)); }
  void heal();
  /// All operations of all sockets fail with EIO.
  void power_off();
  /// A back end ends; its sockets are closed already, but something may still be on its way to them.
  void forget(const SimBackend& owner);

 private:
  using Key = std::pair<unsigned, std::string>;  // host, port or path

  /// The host that an address names, seen from host `from`.
  static unsigned host_of(const Address& address, unsigned from) noexcept;
  static std::string place_of(const Address& address);

  void reach(const std::shared_ptr<SimSocket>& client, const Key& to, unsigned attempt);
  static void activate(SimSocket& socket);
  void deliver(SimSocket& socket);
  void send_segment(SimSocket& to, std::vector<std::byte> bytes);
  // datagrams.cc
  int send_datagram(SimSocket& from, const Operation& operation);
  void arrive(const Key& at, const SimSocket::Datagram& datagram);
  void progress_datagrams(SimSocket& socket);

  void progress_accepts(SimSocket& socket);
  void progress_receives(SimSocket& socket);
  void progress_sends(SimSocket& socket);
  bool receive_into_pool(SimSocket& socket, Operation& operation);
  bool receive_into_memory(SimSocket& socket, Operation& operation);
  void shut_down(SimSocket& socket);
  void tear_down(SimSocket& socket);
  bool partitioned(unsigned a, unsigned b) const { return partitions_.contains(std::minmax(a, b)); }
  Address ephemeral(const Address& like);
  std::shared_ptr<SimSocket> make(SimBackend& owner);

  EventQueue& events_;
  Random random_;
  NetworkOptions options_;
  std::map<Key, std::vector<std::shared_ptr<SimSocket>>> listeners_;
  std::map<Key, std::weak_ptr<SimSocket>> datagram_sockets_;
  std::set<std::pair<unsigned, unsigned>> partitions_;
  std::vector<std::weak_ptr<SimSocket>> sockets_;
  std::uint16_t next_port_ = 32768;
};

}  // namespace ashlar::sim

/// What stands in for rocksdb_peer.cc where RocksDB is not here: its cases are measured without a peer.

#include "bench/cases/rocksdb_peer.h"

namespace ashlar::bench {

struct RocksdbPeer::State {};

RocksdbPeer::RocksdbPeer(std::unique_ptr<State> state) : state_(std::move(state)) {}
RocksdbPeer::RocksdbPeer(RocksdbPeer&&) noexcept = default;
RocksdbPeer::~RocksdbPeer() = default;

Result<RocksdbPeer> RocksdbPeer::open(const std::string&, Setup) {
  return fail(Errc::unsupported, "RocksDB");
}
Result<Sample> RocksdbPeer::measure_get(const Keys&, std::uint64_t) {
  return fail(Errc::unsupported, "RocksDB");
}
Result<Sample> RocksdbPeer::measure_put(unsigned, std::uint64_t) {
  return fail(Errc::unsupported, "RocksDB");
}

bool rocksdb_is_here() {
  return false;
}
std::string rocksdb_version() {
  return "";
}

}  // namespace ashlar::bench

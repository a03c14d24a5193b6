#pragma once

/// The simulated back end: one shard's side of a simulated world.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/runtime/ops/backend.h"
#include "ashlar/runtime/ops/sim/environment.h"

namespace ashlar::sim {

/// Operations take effect when they complete, in an order drawn from the seed. Lifecycle as Backend; the
/// environment outlives it. Destroying it with files open closes them, as the end of a process does.
///
/// wait() lets virtual time pass, so that a shard with a simulated back end can run by itself as on any
/// other; a World runs several.
class SimBackend final : public Backend {
 public:
  explicit SimBackend(Environment& environment, unsigned shard = 0, unsigned host = 0);
  ~SimBackend() override;

  const char* name() const noexcept override { return "simulated"; }
  void submit(Operation& operation) noexcept override;
  void cancel(Operation& operation) noexcept override;
  unsigned poll() noexcept override;
  bool pending() const noexcept override;
  unsigned wait(Instant until) noexcept override;
  void wake() noexcept override { woken_ = true; }
  void recycle(ReceiveBuffer& buffer) noexcept override;

  Instant now() const noexcept override { return environment_.events.now(); }
  std::uint64_t wall_ms() const noexcept override { return environment_.wall_ms(); }
  std::uint64_t random() noexcept override { return random_.next(); }
  unsigned in_flight() const noexcept override { return in_flight_; }

  Result<Handle> listen(const Address& address, const ListenOptions& options) override;
  Result<Handle> socket(const Address& peer) override;
  Result<Handle> datagram_socket(const Address& local) override;
  Result<Address> local_address(Handle socket) override;
  Result<Address> peer_address(Handle socket) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& directory) override;
  Result<> make_directory(const std::string& path) override;
  Result<std::uint64_t> file_bytes(Handle file) override;
  Result<FileSystemSpace> space(const std::string& path) override;
  Result<FileTraits> describe(Handle file) override;
  Result<std::unique_ptr<IoRing>> open_ring(const RingOptions&) override {
    return fail(Errc::unsupported, "a further ring: a simulated shard has none");
  }
  Result<> register_region(std::uint32_t, MutableBytes) override {
    return fail(Errc::unsupported, "register memory: a simulated disk gains nothing");
  }
  /// The memory is a copy; sync_memory writes it back, durably.
  Result<MappedRange> map(Handle file, std::uint64_t offset, std::uint64_t bytes,
                          const MapOptions& options) override;
  Result<Handle> lock(const std::string& path) override;

  // For the network and the environment.
  unsigned host() const noexcept { return host_; }
  void activate(SimSocket& socket);
  Handle add(std::shared_ptr<SimSocket> socket);
  ReceiveBuffer* take_buffer() noexcept;
  std::size_t receive_buffer_bytes() const noexcept { return environment_.options.receive_buffer_bytes; }
  void starve(SimSocket& socket) { starved_.push_back(socket.shared_from_this()); }
  void deliver(Operation& operation, std::int64_t result, bool more) noexcept;  ///< inside poll() only
  void finish_later(Operation& operation, std::int64_t result) noexcept;
  void power_off();
  /// One line per operation in flight, for reports of a world that is stuck.
  std::string describe_in_flight() const;

 private:
  struct Flight {
    Operation* operation;
    Operation* first;  // whose completion it is: itself, or the first write of its chain
    std::shared_ptr<OpenFile> file;
    FileVerdict verdict;
    std::uint64_t up_to = 0;  // what a sync covers
    std::string label;
  };
  struct Open {
    std::shared_ptr<OpenFile> file;
    std::shared_ptr<SimSocket> socket;
  };

  struct View {  // of a mapped file
    std::shared_ptr<OpenFile> file;
    std::uint64_t offset;
    bool shared;
    std::vector<std::byte> storage;  // with room to start on a page
    MutableBytes memory;
  };

  Handle add(Open open);
  View* view_of(const std::byte* data) noexcept;
  std::int64_t sync_memory(const Operation& operation);
  std::int64_t unmap(const Operation& operation);
  Open* find(Handle handle) noexcept;
  void start_file(Operation& operation, Operation& first);
  void land(std::uint64_t flight);
  std::int64_t carry_out(const Flight& flight);
  std::int64_t carry_out_open(const Operation& operation);
  std::int64_t write(const Flight& flight, bool durable);
  std::int64_t read(const Flight& flight);
  std::int64_t fail_partly(const Flight& flight);
  void happen_in_part(const Flight& flight);
  std::int64_t close(Handle handle);
  Result<> begin_call(const FileEvent& event, const char* where);

  Environment& environment_;
  unsigned shard_;
  unsigned host_;
  Random random_;
  bool woken_ = false;
  unsigned in_flight_ = 0;

  std::vector<Open> handles_;
  std::vector<std::unique_ptr<View>> views_;
  std::map<std::uint64_t, Flight> flights_;  // file operations, by the order of their start
  std::uint64_t next_flight_ = 0;
  Operation* completed_first_ = nullptr;  // done, not yet delivered
  Operation* completed_last_ = nullptr;
  std::vector<std::shared_ptr<SimSocket>> active_;
  std::vector<std::shared_ptr<SimSocket>> starved_;  // wait for a buffer of the pool

  std::unique_ptr<std::byte[]> buffer_memory_;
  std::vector<ReceiveBuffer> buffers_;
  ReceiveBuffer* free_buffers_ = nullptr;
};

}  // namespace ashlar::sim

#include "ashlar/runtime/ops/sim/sim_backend.h"

#include <fcntl.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "ashlar/runtime/ops/transfer.h"

namespace ashlar::sim {

namespace {

bool on_socket(OpCode code) noexcept {
  return code >= OpCode::accept;
}

}  // namespace

SimBackend::SimBackend(Environment& environment, unsigned shard, unsigned host)
    : environment_(environment), shard_(shard), host_(host), random_(environment.random.next()) {
  const auto& options = environment.options;
  buffer_memory_ =
      std::make_unique<std::byte[]>(std::size_t{options.receive_buffers} * options.receive_buffer_bytes);
  buffers_.resize(options.receive_buffers);
  for (std::uint32_t i = 0; i < options.receive_buffers; ++i) {
    buffers_[i].data = buffer_memory_.get() + std::size_t{i} * options.receive_buffer_bytes;
    buffers_[i].id = static_cast<std::uint16_t>(i);
    buffers_[i].next = std::exchange(free_buffers_, &buffers_[i]);
  }
  environment_.add(*this);
}

SimBackend::~SimBackend() {
  assert(in_flight_ == 0 && "destroyed with operations in flight");
  for (std::size_t i = 0; i < handles_.size(); ++i) close(Handle{static_cast<std::int32_t>(i)});
  environment_.network.forget(*this);
  environment_.remove(*this);
}

void SimBackend::submit(Operation& operation) noexcept {
  assert(operation.state == Operation::State::idle);
  operation.state = Operation::State::in_flight;
  operation.transferred = 0;
  operation.cancel_requested = false;
  operation.more = false;
  ++in_flight_;
  if (operation.code == OpCode::close) {
    finish_later(operation, close(operation.handle));
  } else if (!environment_.powered()) {
    finish_later(operation, -EIO);
  } else if (operation.code == OpCode::nop) {
    finish_later(operation, 0);
  } else if (on_socket(operation.code)) {
    const Open* open = find(operation.handle);
    if (open == nullptr || open->socket == nullptr) {
      finish_later(operation, -EBADF);
    } else {
      environment_.network.start(*open->socket, operation);
    }
  } else {
    if (operation.code == OpCode::write) begin_chain(operation);
    start_file(operation, operation);
  }
}

void SimBackend::cancel(Operation& operation) noexcept {
  if (operation.state == Operation::State::idle || !on_socket(operation.code)) return;
  operation.cancel_requested = true;
  if (auto* socket = reinterpret_cast<SimSocket*>(operation.backend_data)) {
    environment_.network.cancel(*socket, operation);
  }
}

bool SimBackend::pending() const noexcept {
  return completed_first_ != nullptr || !active_.empty() || environment_.events.due();
}

unsigned SimBackend::poll() noexcept {
  const unsigned before = in_flight_;
  environment_.events.run_due();
  unsigned delivered = 0;
  Operation* operation = std::exchange(completed_first_, nullptr);
  while (operation != nullptr) {
    Operation* next = operation->next;
    deliver(*operation, operation->result, false);
    operation = next;
    ++delivered;
  }
  for (const auto& socket : std::exchange(active_, {})) {
    socket->active = false;
    environment_.network.progress(*socket);
  }
  return std::max(delivered, before > in_flight_ ? before - in_flight_ : 0);
}

unsigned SimBackend::wait(Instant until) noexcept {
  if (!std::exchange(woken_, false) && !pending()) {
    const Instant next = std::min(until, environment_.events.next());
    if (next != never) environment_.events.advance_to(next);
  }
  return poll();
}

void SimBackend::recycle(ReceiveBuffer& buffer) noexcept {
  buffer.next = std::exchange(free_buffers_, &buffer);
  if (starved_.empty()) return;
  const auto socket = std::move(starved_.front());
  starved_.erase(starved_.begin());
  activate(*socket);
}

ReceiveBuffer* SimBackend::take_buffer() noexcept {
  ReceiveBuffer* buffer = free_buffers_;
  if (buffer != nullptr) free_buffers_ = std::exchange(buffer->next, nullptr);
  return buffer;
}

void SimBackend::activate(SimSocket& socket) {
  if (std::exchange(socket.active, true)) return;
  active_.push_back(socket.shared_from_this());
}

void SimBackend::deliver(Operation& operation, std::int64_t result, bool more) noexcept {
  operation.result = result;
  operation.more = more;
  if (!more) {
    operation.state = Operation::State::idle;
    --in_flight_;
  }
  environment_.trace(shard_, operation.code, result);
  operation.complete(operation);
}

void SimBackend::finish_later(Operation& operation, std::int64_t result) noexcept {
  operation.result = result;
  operation.next = nullptr;
  *(completed_first_ == nullptr ? &completed_first_ : &completed_last_->next) = &operation;
  completed_last_ = &operation;
}

// In the order of their start; any of them may have been carried out by the time power goes.
void SimBackend::power_off() {
  for (auto& [number, flight] : std::exchange(flights_, {})) {
    happen_in_part(flight);
    if (!flight.label.empty()) environment_.faults.count_cut(flight.label);
    finish_later(*flight.first, -EIO);
  }
}

std::string SimBackend::describe_in_flight() const {
  std::string text;
  for (const auto& [number, flight] : flights_)
    text += "  shard " + std::to_string(shard_) + ": " + flight.label + "\n";
  for (const Open& open : handles_) {
    if (open.socket == nullptr || !open.socket->busy()) continue;
    const SimSocket& socket = *open.socket;
    text += "  shard " + std::to_string(shard_) + ": socket with " + std::to_string(socket.accepts.size()) +
            " accepts, " + std::to_string(socket.receives.size()) + " receives, " +
            std::to_string(socket.sends.size()) + " sends, " + std::to_string(socket.available()) +
            " bytes unread\n";
  }
  return text;
}

Handle SimBackend::add(Open open) {
  for (std::size_t i = 0; i < handles_.size(); ++i) {
    if (handles_[i].file == nullptr && handles_[i].socket == nullptr) {
      handles_[i] = std::move(open);
      return Handle{static_cast<std::int32_t>(i)};
    }
  }
  handles_.push_back(std::move(open));
  return Handle{static_cast<std::int32_t>(handles_.size() - 1)};
}

Handle SimBackend::add(std::shared_ptr<SimSocket> socket) {
  return add(Open{nullptr, std::move(socket)});
}

SimBackend::Open* SimBackend::find(Handle handle) noexcept {
  if (handle.value < 0 || static_cast<std::size_t>(handle.value) >= handles_.size()) return nullptr;
  Open& open = handles_[static_cast<std::size_t>(handle.value)];
  return open.file == nullptr && open.socket == nullptr ? nullptr : &open;
}

std::int64_t SimBackend::close(Handle handle) {
  Open* open = find(handle);
  if (open == nullptr) return -EBADF;
  const Open closed = std::exchange(*open, {});
  if (closed.file != nullptr) environment_.disk.close(*closed.file);
  if (closed.socket != nullptr) environment_.network.close(*closed.socket);
  return 0;
}

Result<Handle> SimBackend::listen(const Address& address, const ListenOptions& options) {
  if (!environment_.powered()) return fail_errno(EIO, "listen");
  return add(TRY(environment_.network.listen(*this, address, options)));
}

Result<Handle> SimBackend::socket(const Address&) {
  if (!environment_.powered()) return fail_errno(EIO, "socket");
  return add(environment_.network.socket(*this));
}

Result<Handle> SimBackend::datagram_socket(const Address& local) {
  if (!environment_.powered()) return fail_errno(EIO, "datagram socket");
  return add(TRY(environment_.network.datagram_socket(*this, local)));
}

Result<Address> SimBackend::local_address(Handle socket) {
  const Open* open = find(socket);
  if (open == nullptr || open->socket == nullptr) return fail_errno(EBADF, "local address");
  return open->socket->local;
}

Result<Address> SimBackend::peer_address(Handle socket) {
  const Open* open = find(socket);
  if (open == nullptr || open->socket == nullptr) return fail_errno(EBADF, "peer address");
  if (open->socket->state != SimSocket::State::connected) return fail_errno(ENOTCONN, "peer address");
  return open->socket->peer;
}

// Set-up calls happen at once, and are file operations to fault rules and power cuts like any other.
Result<> SimBackend::begin_call(const FileEvent& event, const char* where) {
  if (!environment_.powered()) return fail_errno(EIO, where);
  const FileVerdict verdict = environment_.faults.judge(event);
  if (verdict.cut != FileVerdict::Cut::no) {
    environment_.faults.count_cut(Faults::label(event));
    environment_.end(verdict);
    return fail_errno(EIO, where);
  }
  if (verdict.error != 0) return fail_errno(verdict.error, where);
  return {};
}

Result<std::vector<DirectoryEntry>> SimBackend::list(const std::string& directory) {
  TRY(begin_call({.name = "list", .path = directory}, "list directory"));
  auto entries = environment_.disk.list(directory);
  if (!entries) return fail_errno(entries.error(), "list directory");
  return *std::move(entries);
}

Result<> SimBackend::make_directory(const std::string& path) {
  TRY(begin_call({.name = "make directory", .path = path, .changes = true}, "make directory"));
  if (const int error = environment_.disk.make_directory(path)) return fail_errno(error, "make directory");
  return {};
}

Result<std::uint64_t> SimBackend::file_bytes(Handle file) {
  const Open* open = find(file);
  if (open == nullptr || open->file == nullptr) return fail_errno(EBADF, "file size");
  if (!environment_.powered()) return fail_errno(EIO, "file size");
  return open->file->inode->image.size();
}

Result<FileSystemSpace> SimBackend::space(const std::string& path) {
  TRY(begin_call({.name = "space", .path = path}, "file system space"));
  if (environment_.disk.find(path) == nullptr) return fail_errno(ENOENT, "file system space");
  return environment_.disk.space();
}

Result<Handle> SimBackend::lock(const std::string& path) {
  TRY(begin_call({.name = "lock", .path = path}, "lock"));
  auto file = environment_.disk.open(path, O_RDWR | O_CREAT);
  if (!file) return fail_errno(file.error(), "lock");
  if (const int error = environment_.disk.lock(**file)) {
    environment_.disk.close(**file);
    return fail_errno(error, "lock");
  }
  return add(Open{*std::move(file), nullptr});
}

}  // namespace ashlar::sim

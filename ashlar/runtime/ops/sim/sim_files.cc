/// File operations of the simulated back end.
///
/// 1. submit() lets the fault rules judge the operation, notes what a sync covers, and draws when it will
/// complete.
/// 2. At that time the operation is carried out on the disk as one step, and waits to be delivered by poll().
/// 3. Where power goes at it, it is one of those in flight: it may have happened, or part of it.

#include <fcntl.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "ashlar/runtime/ops/sim/sim_backend.h"
#include "ashlar/runtime/ops/transfer.h"

namespace ashlar::sim {

namespace {

FileEvent event_of(const Operation& operation, const OpenFile* file) {
  FileEvent event;
  event.code = operation.code;
  event.changes = true;
  event.path = file != nullptr ? std::string_view(file->inode->path)
                               : std::string_view(operation.path == nullptr ? "" : operation.path);
  switch (operation.code) {
    case OpCode::open:
      event.changes = (operation.open_flags & (O_CREAT | O_TRUNC)) != 0;
      event.name = event.changes ? "create" : "open";
      break;
    case OpCode::read:
      event.name = "read";
      event.changes = false;
      break;
    case OpCode::write: {
      const bool durable = operation.durable || (file->flags & (O_DSYNC | O_SYNC)) != 0;
      event.name = durable ? "durable write" : "write";
      break;
    }
    case OpCode::allocate: event.name = "allocate"; break;
    case OpCode::sync:
    case OpCode::data_sync: event.name = "sync"; break;
    case OpCode::resize: event.name = "resize"; break;
    case OpCode::rename:
      event.name = "rename";
      event.target = operation.path2;
      break;
    case OpCode::link:
      event.name = "link";
      event.target = operation.path2;
      break;
    case OpCode::unlink: event.name = "unlink"; break;
    case OpCode::sync_directory: event.name = "sync directory"; break;
    case OpCode::discard: event.name = "discard"; break;
    case OpCode::write_zeroes: event.name = "write zeroes"; break;
    case OpCode::sync_memory: event.name = "sync memory"; break;
    case OpCode::advise:
    case OpCode::populate:
    case OpCode::unmap:
      event.name = "hint";
      event.changes = false;
      break;
    default: assert(false && "not a file operation");
  }
  return event;
}

bool needs_handle(OpCode code) noexcept {
  return code == OpCode::read || code == OpCode::write || code == OpCode::allocate || code == OpCode::sync ||
         code == OpCode::data_sync || code == OpCode::resize || code == OpCode::discard ||
         code == OpCode::write_zeroes || code == OpCode::advise;
}

std::vector<std::byte> gather(const Operation& operation) {
  std::vector<std::byte> bytes;
  bytes.reserve(bytes_left(operation));
  for (std::uint32_t i = 0; i < operation.vector_count; ++i) {
    const auto* part = static_cast<const std::byte*>(operation.vectors[i].iov_base);
    bytes.insert(bytes.end(), part, part + operation.vectors[i].iov_len);
  }
  return bytes;
}

bool aligned_vectors(const Operation& operation, std::uint64_t alignment) noexcept {
  return std::all_of(operation.vectors, operation.vectors + operation.vector_count, [&](const iovec& part) {
    return (reinterpret_cast<std::uintptr_t>(part.iov_base) | part.iov_len) % alignment == 0;
  });
}

}  // namespace

void SimBackend::start_file(Operation& operation, Operation& first) {
  Flight flight{.operation = &operation, .first = &first, .file = nullptr, .verdict = {}, .label = {}};
  if (needs_handle(operation.code)) {
    const Open* open = find(operation.handle);
    if (open == nullptr || open->file == nullptr) {
      finish_later(first, open == nullptr ? -EBADF : -EINVAL);
      return;
    }
    flight.file = open->file;
    flight.up_to = flight.file->inode->image.changes();
  } else if (operation.code == OpCode::sync_memory) {
    if (const View* view = view_of(operation.data)) flight.file = view->file;
  } else if (operation.code == OpCode::sync_directory) {
    flight.up_to = environment_.disk.name_changes();
  }
  const FileEvent event = event_of(operation, flight.file.get());
  flight.verdict = environment_.faults.judge(event);
  if (event.changes) flight.label = Faults::label(event);
  Duration takes = environment_.options.disk.draw(environment_.random) + flight.verdict.delay;
  if (operation.code == OpCode::read || operation.code == OpCode::write)
    takes += environment_.disk_transfer(bytes_left(operation));
  const std::uint64_t number = next_flight_++;
  flights_.emplace(number, std::move(flight));
  environment_.events.after(takes, [this, number] { land(number); });
}

void SimBackend::land(std::uint64_t number) {
  const auto found = flights_.find(number);
  if (found == flights_.end()) return;  // power went first
  if (found->second.verdict.cut == FileVerdict::Cut::before) {
    const FileVerdict verdict = found->second.verdict;  // its flight ends here too
    environment_.end(verdict);
    return;
  }
  const Flight flight = std::move(found->second);
  flights_.erase(found);
  std::int64_t result = flight.verdict.error != 0 ? fail_partly(flight) : carry_out(flight);
  if (flight.verdict.cut == FileVerdict::Cut::after) {
    environment_.faults.count_cut(flight.label);
    finish_later(*flight.first, result >= 0 && flight.operation->code == OpCode::open ? result : -EIO);
    environment_.end(flight.verdict);
    return;
  }
  if (flight.operation->code == OpCode::write && flight.first->then != nullptr) {
    flight.operation->result = result;
    if (result >= 0 && flight.operation->then != nullptr)
      return start_file(*flight.operation->then, *flight.first);
    result = chain_result(*flight.first);
  }
  finish_later(*flight.first, result);
}

std::int64_t SimBackend::carry_out(const Flight& flight) {
  const Operation& operation = *flight.operation;
  Disk& disk = environment_.disk;
  switch (operation.code) {
    case OpCode::open: return carry_out_open(operation);
    case OpCode::read: return read(flight);
    case OpCode::write:
      return write(flight, operation.durable || (flight.file->flags & (O_DSYNC | O_SYNC)) != 0);
    case OpCode::allocate: return -disk.allocate(*flight.file, operation.offset, operation.length);
    case OpCode::resize: return -disk.resize(*flight.file, operation.length);
    case OpCode::sync:
    case OpCode::data_sync: flight.file->inode->image.sync(flight.up_to); return 0;
    case OpCode::rename: return -disk.rename(operation.path, operation.path2);
    case OpCode::link: return -disk.link(operation.path, operation.path2);
    case OpCode::unlink: return -disk.unlink(operation.path);
    case OpCode::sync_directory: return -disk.sync_directory(operation.path, flight.up_to);
    case OpCode::discard: return -disk.zero(*flight.file, operation.offset, operation.length, true);
    case OpCode::write_zeroes: return -disk.zero(*flight.file, operation.offset, operation.length, false);
    case OpCode::advise: return 0;
    case OpCode::populate: return view_of(operation.data) != nullptr ? 0 : -EINVAL;
    case OpCode::sync_memory: return sync_memory(operation);
    case OpCode::unmap: return unmap(operation);
    default: return -EINVAL;
  }
}

std::int64_t SimBackend::carry_out_open(const Operation& operation) {
  auto file = environment_.disk.open(operation.path, operation.open_flags);
  if (!file) return -file.error();
  return add(Open{*std::move(file), nullptr}).value;
}

std::int64_t SimBackend::write(const Flight& flight, bool durable) {
  const Operation& operation = *flight.operation;
  Disk& disk = environment_.disk;
  if (operation.vectors == nullptr) {
    const Bytes from(operation.data, operation.length);
    const auto written = operation.atomic
                             ? disk.write_atomically(*flight.file, operation.offset, from, durable)
                             : disk.write(*flight.file, operation.offset, from, durable);
    return written ? static_cast<std::int64_t>(*written) : -written.error();
  }
  if (operation.atomic) return -EINVAL;  // the kernel takes one buffer
  if ((flight.file->flags & O_DIRECT) != 0 && !aligned_vectors(operation, disk.direct_alignment()))
    return -EINVAL;
  // Gathered into memory aligned as direct writes want it.
  const std::vector<std::byte> bytes = gather(operation);
  OpenFile buffered{flight.file->inode, flight.file->flags & ~O_DIRECT};
  const auto written = disk.write(buffered, operation.offset, bytes, durable);
  return written ? static_cast<std::int64_t>(*written) : -written.error();
}

std::int64_t SimBackend::read(const Flight& flight) {
  Operation& operation = *flight.operation;
  Disk& disk = environment_.disk;
  if (operation.vectors == nullptr) {
    const auto bytes = disk.read(*flight.file, operation.offset, {operation.data, operation.length});
    return bytes ? static_cast<std::int64_t>(*bytes) : -bytes.error();
  }
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < operation.vector_count; ++i) {
    const MutableBytes into{static_cast<std::byte*>(operation.vectors[i].iov_base),
                            operation.vectors[i].iov_len};
    const auto bytes = disk.read(*flight.file, operation.offset + total, into);
    if (!bytes) return -bytes.error();
    total += *bytes;
    if (*bytes < into.size()) break;
  }
  return static_cast<std::int64_t>(total);
}

// A failed write may have changed some of what it should have; a failed sync may lose what it should have
// written.
std::int64_t SimBackend::fail_partly(const Flight& flight) {
  const OpCode code = flight.operation->code;
  if (code == OpCode::write) {
    if (random_.one_in(2)) write(flight, false);
  } else if ((code == OpCode::sync || code == OpCode::data_sync) && flight.verdict.drop_unsynced) {
    flight.file->inode->image.drop_unsynced(random_);
  }
  return -flight.verdict.error;
}

// Which sectors, sizes and names of it survive is for the disk's crash model to say. What it would have made
// durable is not.
void SimBackend::happen_in_part(const Flight& flight) {
  Disk& disk = environment_.disk;
  const Operation& operation = *flight.operation;
  if (flight.verdict.error != 0 || random_.one_in(2)) return;
  switch (operation.code) {
    case OpCode::open:
      if ((operation.open_flags & (O_CREAT | O_TRUNC)) != 0) {
        if (auto file = disk.open(operation.path, operation.open_flags)) disk.close(**file);
      }
      break;
    case OpCode::write: write(flight, false); break;
    case OpCode::allocate:
    case OpCode::resize:
    case OpCode::discard:
    case OpCode::write_zeroes:
    case OpCode::rename:
    case OpCode::link:
    case OpCode::unlink: carry_out(flight); break;
    default: break;
  }
}

}  // namespace ashlar::sim

#pragma once

/// Files, as tasks see them. Every operation is checked one by one and returns its own result (D15).
///
///   File file = CO_TRY(co_await File::open(path, O_RDWR | O_CREAT | O_DIRECT | O_DSYNC));
///   CO_TRY(co_await file.write(block, 0));
///   CO_TRY(co_await file.close());

#include <fcntl.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/base/bytes.h"
#include "ashlar/runtime/ops/operation_awaiter.h"

namespace ashlar {

class File;

/// Result<>: an operation without a value.
class StatusAwaiter : public OperationAwaiter {
 public:
  StatusAwaiter(OpCode op, Handle on, const char* where, std::uint64_t object) noexcept {
    code = op;
    handle = on;
    where_ = where;
    object_ = object;
  }
  /// allocate, resize, discard, write_zeroes, advise: a range of the file.
  StatusAwaiter(OpCode op, Handle on, const char* where, std::uint64_t object, std::uint64_t at,
                std::uint64_t bytes, std::uint32_t how = 0) noexcept
      : StatusAwaiter(op, on, where, object) {
    offset = at;
    length = bytes;
    mode = how;
  }
  Result<> await_resume() const noexcept { return status(); }
};

/// Result<>: all bytes written, or an error.
class WriteAwaiter : public OperationAwaiter {
 public:
  WriteAwaiter(Handle on, Bytes from, std::uint64_t at, bool through, std::uint64_t object) noexcept
      : WriteAwaiter(on, at, through, object) {
    data = const_cast<std::byte*>(from.data());  // the back end only reads it
    length = from.size();
  }
  WriteAwaiter(Handle on, std::span<iovec> from, std::uint64_t at, bool through, std::uint64_t object,
               IoRole what_for) noexcept
      : WriteAwaiter(on, at, through, object) {
    role = what_for;
    vectors = from.data();
    vector_count = static_cast<std::uint32_t>(from.size());
  }
  Result<> await_resume() const noexcept { return status(); }

 private:
  WriteAwaiter(Handle on, std::uint64_t at, bool through, std::uint64_t object) noexcept {
    code = OpCode::write;
    handle = on;
    offset = at;
    durable = through;
    where_ = "write";
    object_ = object;
  }
};

/// A step of File::write_in_order().
struct FileWrite {
  Bytes from;
  std::uint64_t offset = 0;
};

/// Result<>: every write of a chain, or the error of the first that failed.
class ChainAwaiter : public OperationAwaiter {
 public:
  ChainAwaiter(Handle on, std::span<const FileWrite> steps, bool through, std::uint64_t object);

  bool await_ready() const noexcept { return length == 0; }
  Result<> await_resume() const noexcept;

 private:
  std::vector<Operation> rest_;
};

/// Result<std::size_t>: bytes read; fewer than asked only at the end of the file.
class ReadAwaiter : public OperationAwaiter {
 public:
  ReadAwaiter(Handle on, MutableBytes into, std::uint64_t at, std::uint64_t object) noexcept {
    code = OpCode::read;
    handle = on;
    data = into.data();
    length = into.size();
    offset = at;
    where_ = "read";
    object_ = object;
  }
  ReadAwaiter(Handle on, std::span<iovec> into, std::uint64_t at, std::uint64_t object) noexcept
      : ReadAwaiter(on, MutableBytes{}, at, object) {
    vectors = into.data();
    vector_count = static_cast<std::uint32_t>(into.size());
  }
  Result<std::size_t> await_resume() const noexcept {
    if (result < 0) [[unlikely]]
      return std::unexpected(status().error());
    return static_cast<std::size_t>(result);
  }
};

/// An operation on one or two paths; owns them while it is in flight. Result<>.
class PathAwaiter : public OperationAwaiter {
 public:
  PathAwaiter(OpCode op, const char* where, std::string first, std::string second = {}) noexcept
      : first_(std::move(first)), second_(std::move(second)) {
    code = op;
    path = first_.c_str();
    path2 = second_.c_str();
    where_ = where;
  }
  Result<> await_resume() const noexcept { return status(); }

 private:
  std::string first_, second_;
};

class OpenAwaiter : public OperationAwaiter {
 public:
  OpenAwaiter(std::string name, int flags, std::uint32_t permissions, std::uint64_t object) noexcept
      : name_(std::move(name)) {
    code = OpCode::open;
    path = name_.c_str();
    open_flags = flags;
    mode = permissions;
    where_ = "open";
    object_ = object;
  }
  Result<File> await_resume() const noexcept;

 private:
  std::string name_;
};

/// An open file. Owner: the shard that opened it; move-only. Lifecycle: close() reports the result of
/// closing; a file that is merely destroyed is closed in the background.
class File {
 public:
  File() = default;
  /// Takes over a handle. `object` names the file in errors (its number in the store), 0 if it has none.
  File(Handle handle, std::uint64_t object) noexcept : handle_(handle), object_(object) {}
  File(File&& other) noexcept
      : handle_(std::exchange(other.handle_, Handle{})), object_(std::exchange(other.object_, 0)) {}
  File& operator=(File&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(object_, other.object_);
    return *this;
  }
  ~File();

  /// Opens or creates (flags as open(2); O_CLOEXEC is added). The directory entry of a new file is durable
  /// only after sync_directory().
  static OpenAwaiter open(std::string path, int flags, std::uint32_t mode = 0644, std::uint64_t object = 0) {
    return {std::move(path), flags, mode, object};
  }

  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }
  Handle handle() const noexcept { return handle_; }
  std::uint64_t object() const noexcept { return object_; }

  /// Reads into.size() bytes at `offset`. With O_DIRECT, memory, offset and size are aligned to the file's
  /// block (4 KiB is always enough).
  ReadAwaiter read(MutableBytes into, std::uint64_t offset) const noexcept {
    return {handle_, into, offset, object_};
  }
  /// The same into several buffers; `vectors` is used up (advanced in place) and must live until completion.
  ReadAwaiter read(std::span<iovec> vectors, std::uint64_t offset) const noexcept {
    return {handle_, vectors, offset, object_};
  }
  /// Writes all of `from`, or fails. Durable at completion only if asked for, or if the file is O_DSYNC.
  WriteAwaiter write(Bytes from, std::uint64_t offset, bool durable = false) const noexcept {
    return {handle_, from, offset, durable, object_};
  }
  /// The same from several buffers; `vectors` is used up (advanced in place) and must live until completion.
  WriteAwaiter write(std::span<iovec> vectors, std::uint64_t offset, bool durable = false,
                     IoRole role = IoRole::automatic) const noexcept {
    return {handle_, vectors, offset, durable, object_, role};
  }
  /// Writes one after the other: each begins once the one before has ended well, and nothing begins after one
  /// that failed. One wait for all of them, and where the kernel links them one completion. For bulk that is
  /// to leave the disk's queue to others; the order says nothing about power loss, unless each is `durable`.
  ChainAwaiter write_in_order(std::span<const FileWrite> steps, bool durable = false) const {
    return {handle_, steps, durable, object_};
  }
  /// Everything written before the call, and the file's metadata, survives power loss. A failure is final
  /// (D5): what was written since the last success is to be treated as lost.
  StatusAwaiter sync() const noexcept { return {OpCode::sync, handle_, "fsync", object_}; }
  StatusAwaiter data_sync() const noexcept { return {OpCode::data_sync, handle_, "fdatasync", object_}; }
  /// Reserves [offset, offset + length) and extends the size; no_space where it does not fit.
  StatusAwaiter allocate(std::uint64_t offset, std::uint64_t length) const noexcept {
    return {OpCode::allocate, handle_, "fallocate", object_, offset, length};
  }
  StatusAwaiter resize(std::uint64_t bytes) const noexcept {
    return {OpCode::resize, handle_, "ftruncate", object_, 0, bytes};
  }
  /// Gives up the contents of [offset, offset + length). On a regular file a hole: the space is free, the
  /// size stays, and it reads as zeros. On a block device what it then reads is the device's affair; offset
  /// and length are multiples of the logical block, else `invalid`. `unsupported` where it cannot.
  StatusAwaiter discard(std::uint64_t offset, std::uint64_t length) const noexcept {
    return {OpCode::discard, handle_, "discard", object_, offset, length};
  }
  /// [offset, offset + length) reads as zeros, its space stays reserved, the size does not change. Durable
  /// after sync(). `unsupported` where it cannot: the caller then writes zeros.
  StatusAwaiter write_zeroes(std::uint64_t offset, std::uint64_t length) const noexcept {
    return {OpCode::write_zeroes, handle_, "write zeroes", object_, offset, length};
  }
  /// Tells the page cache what will be done with a range (POSIX_FADV_*); length 0: to the end.
  StatusAwaiter advise(std::uint64_t offset, std::uint64_t length, int advice) const noexcept {
    return {OpCode::advise, handle_, "fadvise", object_, offset, length, static_cast<std::uint32_t>(advice)};
  }
  StatusAwaiter close() noexcept {
    return {OpCode::close, std::exchange(handle_, Handle{}), "close", object_};
  }

  /// Size in bytes; a short system call.
  Result<std::uint64_t> bytes() const { return Shard::current().backend().file_bytes(handle_); }
  Result<FileTraits> describe() const { return Shard::current().backend().describe(handle_); }

 private:
  Handle handle_;
  std::uint64_t object_ = 0;
};

inline Result<File> OpenAwaiter::await_resume() const noexcept {
  if (result < 0) [[unlikely]]
    return std::unexpected(status().error());
  const Handle opened{static_cast<std::int32_t>(result)};
  Shard::current().rings().opened(opened);
  return File(opened, object_);
}

inline PathAwaiter rename_file(std::string from, std::string to) {
  return {OpCode::rename, "rename", std::move(from), std::move(to)};
}
inline PathAwaiter link_file(std::string from, std::string to) {
  return {OpCode::link, "link", std::move(from), std::move(to)};
}
inline PathAwaiter unlink_file(std::string path) {
  return {OpCode::unlink, "unlink", std::move(path)};
}
/// Makes the entries of a directory (files created, renamed, unlinked in it) survive power loss.
inline PathAwaiter sync_directory(std::string path) {
  return {OpCode::sync_directory, "fsync of directory", std::move(path)};
}

}  // namespace ashlar

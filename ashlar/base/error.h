#pragma once

/// Errors as values: Result<T> is a T or an Error. What public headers include: no macro comes with it.

#include <cstdint>
#include <expected>
#include <string>

namespace ashlar {

/// What went wrong, in terms a caller can act on. The native code (errno, NVMe status) is kept beside it.
enum class Errc : std::uint8_t {
  io,           ///< the device or kernel failed the operation
  corrupt,      ///< stored bytes do not match their checksum or format
  invalid,      ///< the caller's argument is out of bounds, misaligned or malformed
  unsupported,  ///< this kernel, device or build cannot do it
  not_found,    ///< a named object (file, device, address) does not exist
  exists,       ///< a named object exists already
  busy,         ///< held by someone else: a lock, an address, a directory
  permission,   ///< the process may not do it
  no_space,     ///< the file system or device is full
  no_memory,    ///< the memory cap, or the system's memory, is exhausted
  too_large,    ///< beyond a stated limit
  timed_out,    ///< the deadline passed
  cancelled,    ///< the scope it ran in was cancelled
  closed,       ///< the peer or the owner closed it
  conflict,     ///< a condition, such as compare-and-swap, did not hold
  stopped,      ///< the engine stopped after a failed write and must be reopened
};

/// The name of a code as it appears in messages, such as "no space".
const char* to_string(Errc code) noexcept;

/// Where an error happened: which object (file number, key slot, LBA range …) and at which byte of it.
struct ErrorPlace {
  std::uint64_t object = 0;
  std::uint64_t offset = 0;
};

/// An error: 32 bytes, trivially copyable, no allocation.
struct Error {
  Errc code = Errc::io;
  std::int32_t native = 0;   ///< errno (positive) or device status; 0 if there is none
  const char* where = "";    ///< static string: the operation that failed, such as "log append"
  std::uint64_t object = 0;  ///< number of the file or object it happened on; 0 if there is none
  std::uint64_t offset = 0;  ///< byte offset in the object

  /// One readable line: "log append: no space (ENOSPC: No space left on device), object 12 at 4096".
  std::string to_string() const;
};

template <class T = void>
using Result = std::expected<T, Error>;

/// Failure as a return value: `return fail(Errc::invalid, "open");`
[[nodiscard]] inline std::unexpected<Error> fail(Errc code, const char* where,
                                                 ErrorPlace place = {}) noexcept {
  return std::unexpected(Error{code, 0, where, place.object, place.offset});
}

/// Failure from an errno value; the code follows from the number (ENOSPC → no_space, ENOENT → not_found …).
Error error_from_errno(int number, const char* where, ErrorPlace place = {}) noexcept;
[[nodiscard]] inline std::unexpected<Error> fail_errno(int number, const char* where,
                                                       ErrorPlace place = {}) noexcept {
  return std::unexpected(error_from_errno(number, where, place));
}

}  // namespace ashlar

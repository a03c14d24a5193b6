#include "ashlar/base/result.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace ashlar {

const char* to_string(Errc code) noexcept {
  switch (code) {
    case Errc::io: return "input/output error";
    case Errc::corrupt: return "corrupt";
    case Errc::invalid: return "invalid";
    case Errc::unsupported: return "unsupported";
    case Errc::not_found: return "not found";
    case Errc::exists: return "exists already";
    case Errc::busy: return "busy";
    case Errc::permission: return "not permitted";
    case Errc::no_space: return "no space";
    case Errc::no_memory: return "out of memory";
    case Errc::too_large: return "too large";
    case Errc::timed_out: return "timed out";
    case Errc::cancelled: return "cancelled";
    case Errc::closed: return "closed";
    case Errc::conflict: return "conflict";
    case Errc::stopped: return "stopped";
  }
  return "unknown";
}

std::string Error::to_string() const {
  std::string line = fmt::format("{}: {}", where, ashlar::to_string(code));
  if (native != 0) {
    const char* name = strerrorname_np(native);
    line += fmt::format(" ({}: {})", name ? name : "errno",
                        strerrordesc_np(native) ? strerrordesc_np(native) : "?");
  }
  if (object != 0 || code == Errc::corrupt) line += fmt::format(", object {} at {}", object, offset);
  return line;
}

Error error_from_errno(int number, const char* where, ErrorPlace place) noexcept {
  Errc code = Errc::io;
  switch (number) {
    case EINVAL:
    case EBADF:
    case ENAMETOOLONG:
    case EISDIR:
    case ENOTDIR: code = Errc::invalid; break;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT: code = Errc::unsupported; break;
    case ENOENT:
    case ENODEV:
    case ENXIO: code = Errc::not_found; break;
    case EEXIST:
    case ENOTEMPTY: code = Errc::exists; break;
    case EBUSY:
    case EADDRINUSE:
    case EWOULDBLOCK:
    case ETXTBSY: code = Errc::busy; break;
    case EACCES:
    case EPERM:
    case EROFS: code = Errc::permission; break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: code = Errc::no_space; break;
    case ENOMEM:
    case ENOBUFS:
    case EMFILE:
    case ENFILE: code = Errc::no_memory; break;
    case E2BIG:
    case EMSGSIZE:
    case EOVERFLOW: code = Errc::too_large; break;
    case ETIMEDOUT:
    case ETIME: code = Errc::timed_out; break;
    case ECANCELED: code = Errc::cancelled; break;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
    case ENOTCONN:
    case ESHUTDOWN: code = Errc::closed; break;
    default: break;
  }
  return Error{code, number, where, place.object, place.offset};
}

}  // namespace ashlar

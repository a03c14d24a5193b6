#include "ashlar/runtime/ops/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace ashlar {

namespace {

constexpr std::string_view unix_prefix = "unix:";

// The families are read through these: one storage, three views of it.
sockaddr_in& inet4(sockaddr_storage& storage) noexcept {
  return reinterpret_cast<sockaddr_in&>(storage);
}
sockaddr_in6& inet6(sockaddr_storage& storage) noexcept {
  return reinterpret_cast<sockaddr_in6&>(storage);
}
sockaddr_un& local(sockaddr_storage& storage) noexcept {
  return reinterpret_cast<sockaddr_un&>(storage);
}
const sockaddr_in& inet4(const sockaddr_storage& storage) noexcept {
  return reinterpret_cast<const sockaddr_in&>(storage);
}
const sockaddr_in6& inet6(const sockaddr_storage& storage) noexcept {
  return reinterpret_cast<const sockaddr_in6&>(storage);
}
const sockaddr_un& local(const sockaddr_storage& storage) noexcept {
  return reinterpret_cast<const sockaddr_un&>(storage);
}

Result<Address> parse_unix(std::string_view path) {
  Address address;
  sockaddr_un& un = local(address.storage);
  if (path.empty()) return fail(Errc::invalid, "address: the path after 'unix:' is missing");
  if (path.size() >= sizeof un.sun_path) return fail(Errc::invalid, "address: the path is beyond 107 bytes");
  if (path.find('\0') != path.npos) return fail(Errc::invalid, "address: the path holds a zero byte");
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path.data(), path.size());
  address.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [stopped, error] = std::from_chars(begin, end, port);
  if (error != std::errc{} || stopped != end) {
    return fail(Errc::invalid, "address: the port must be a number from 0 to 65535");
  }
  return port;
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  if (text.starts_with(unix_prefix)) return parse_unix(text.substr(unix_prefix.size()));

  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return fail(Errc::invalid, "address: ':PORT' is missing");
  const std::uint16_t port = TRY(parse_port(text.substr(colon + 1)));
  const std::string host(text.substr(0, colon));

  Address address;
  if (host.starts_with('[') && host.ends_with(']')) {
    sockaddr_in6& in = inet6(address.storage);
    if (inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &in.sin6_addr) != 1) {
      return fail(Errc::invalid, "address: no IPv6 address between the brackets");
    }
    in.sin6_family = AF_INET6;
    address.bytes = sizeof in;
  } else {
    sockaddr_in& in = inet4(address.storage);
    if (inet_pton(AF_INET, host.c_str(), &in.sin_addr) != 1) {
      return fail(Errc::invalid, "address: expected 127.0.0.1:PORT, [::1]:PORT or unix:PATH");
    }
    in.sin_family = AF_INET;
    address.bytes = sizeof in;
  }
  address.set_port(port);
  return address;
}

std::string Address::to_string() const {
  char text[INET6_ADDRSTRLEN] = "";
  switch (storage.ss_family) {
    case AF_INET:
      inet_ntop(AF_INET, &inet4(storage).sin_addr, text, sizeof text);
      return fmt::format("{}:{}", text, port());
    case AF_INET6:
      inet_ntop(AF_INET6, &inet6(storage).sin6_addr, text, sizeof text);
      return fmt::format("[{}]:{}", text, port());
    case AF_UNIX: {
      // The peer of a Unix socket has no name; one that has need not be terminated.
      const std::size_t name_bytes = bytes - std::min<std::size_t>(bytes, offsetof(sockaddr_un, sun_path));
      return std::string(unix_prefix) +
             std::string(local(storage).sun_path, strnlen(local(storage).sun_path, name_bytes));
    }
    default: return "none";
  }
}

std::uint16_t Address::port() const noexcept {
  if (storage.ss_family == AF_INET) return ntohs(inet4(storage).sin_port);
  if (storage.ss_family == AF_INET6) return ntohs(inet6(storage).sin6_port);
  return 0;
}

void Address::set_port(std::uint16_t port) noexcept {
  if (storage.ss_family == AF_INET) inet4(storage).sin_port = htons(port);
  if (storage.ss_family == AF_INET6) inet6(storage).sin6_port = htons(port);
}

bool Address::loopback() const noexcept {
  if (storage.ss_family == AF_INET) return ntohl(inet4(storage).sin_addr.s_addr) >> 24 == 127;
  if (storage.ss_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&inet6(storage).sin6_addr) != 0;
  return storage.ss_family == AF_UNIX;
}

}  // namespace ashlar

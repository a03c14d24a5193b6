#pragma once

/// A socket address: "127.0.0.1:6379", "[::1]:6379", "unix:/run/ashlar.sock". Port 0 asks for a free one.

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "ashlar/base/result.h"

namespace ashlar {

struct Address {
  sockaddr_storage storage{};
  socklen_t bytes = 0;

  /// Numeric addresses only (no name service): `invalid` says what is wrong with the text.
  static Result<Address> parse(std::string_view text);
  std::string to_string() const;
  std::uint16_t port() const noexcept;  ///< 0 for Unix sockets
  void set_port(std::uint16_t port) noexcept;
  bool loopback() const noexcept;  ///< 127.0.0.0/8, ::1 or a Unix socket
};

}  // namespace ashlar

#pragma once

/// Threads, where there may be none to be had: std::thread throws.

#include <system_error>
#include <thread>
#include <utility>

#include "ashlar/base/error.h"

namespace ashlar {

/// `no_memory`, with the errno, where the system gives no thread: a limit is reached, or memory for a stack.
template <class Body>
Result<std::thread> start_thread(Body body) noexcept {
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    return std::unexpected(
        Error{.code = Errc::no_memory, .native = error.code().value(), .where = "start a thread"});
  }
}

}  // namespace ashlar

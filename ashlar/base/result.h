#pragma once

/// Errors are values: Result<T> is a T or an Error, and TRY passes an Error on.
///
///   Result<Footer> read_footer(Bytes tail) {
///     auto handle = TRY(decode_handle(tail));        // returns the Error of decode_handle
///     if (handle.size == 0) return fail(Errc::corrupt, "table footer", {.object = id, .offset =
///     handle.offset}); …
///
/// Absence is not an error: look-ups return std::optional or a state of their own.

#include <utility>

#include "ashlar/base/error.h"

/// The value of a Result, or return its Error from the enclosing function. May be nested.
#define TRY(...) ASHLAR_TRY_NAMED(ASHLAR_CONCAT(try_result_, __COUNTER__), return, __VA_ARGS__)

/// The same inside a coroutine: `auto file = CO_TRY(co_await open(path));`
#define CO_TRY(...) ASHLAR_TRY_NAMED(ASHLAR_CONCAT(try_result_, __COUNTER__), co_return, __VA_ARGS__)

#define ASHLAR_CONCAT_TOKENS(a, b) a##b
#define ASHLAR_CONCAT(a, b) ASHLAR_CONCAT_TOKENS(a, b)
#define ASHLAR_TRY_NAMED(name, give_up, ...)            \
  ({                                                    \
    auto&& name = (__VA_ARGS__);                        \
    if (!name) [[unlikely]]                             \
      give_up std::unexpected(std::move(name).error()); \
    *std::move(name);                                   \
  })

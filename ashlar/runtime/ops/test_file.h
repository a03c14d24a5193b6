#pragma once

/// A file for a test, made by operations: in simulation too.

#include <string>

#include "ashlar/runtime/ops/file.h"

namespace ashlar::testing {

/// Of so many bytes, all zero; it and its name outlive a power cut. `path`: in the root directory.
inline Task<Result<>> make_file(std::string path, std::uint64_t bytes) {
  File file = CO_TRY(co_await File::open(std::move(path), O_RDWR | O_CREAT));
  CO_TRY(co_await file.resize(bytes));
  CO_TRY(co_await file.sync());
  CO_TRY(co_await file.close());
  co_return co_await sync_directory("/");
}

}  // namespace ashlar::testing

#pragma once

#include "ashlar/runtime/ops/operation.h"

namespace ashlar {

/// Closes a handle in the background, for owners that are destroyed without awaiting close(). Its result is
/// not seen, so nothing whose durability matters may depend on it.
void close_detached(Handle handle) noexcept;

}  // namespace ashlar

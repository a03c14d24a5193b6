#pragma once

/// MULTI: queueing. EXEC and WATCH are in the command table.

#include <cstdint>
#include <span>
#include <string_view>

#include "ashlar/server/resp/session.h"

namespace ashlar::resp {

/// Whether MULTI leaves the command alone: EXEC, DISCARD, WATCH and those that end or reset the session.
inline bool runs_inside_multi(const CommandSpec& spec) noexcept {
  return (spec.flags & CommandFlag::never_queued) != 0;
}

/// Copies the command behind those queued. False where all together would exceed `bytes_max`.
bool queue_command(Session& session, const CommandSpec& spec, std::span<const std::string_view> arguments,
                   std::uint64_t bytes_max);

}  // namespace ashlar::resp

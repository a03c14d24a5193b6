#pragma once

/// What an acknowledgement means, and what a read relies on.

#include <cstdint>

namespace ashlar::kv {

/// When a write is acknowledged, and what a read may see (D12, D14).
enum class Durability : std::uint8_t {
  durable,   ///< write: survives power loss once acknowledged. read: waits where it meets what might yet
             ///< vanish
  periodic,  ///< acknowledged at once, durable within the engine's sync period. read: sees the newest, waits
             ///< never
  none,      ///< acknowledged at once, durable some time later. read: as periodic
};

}  // namespace ashlar::kv

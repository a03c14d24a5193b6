#pragma once

/// A mapping as a back end hands it out; ops/mapping.h is what tasks use.

#include <cstddef>
#include <cstdint>

namespace ashlar {

class PageGuard;

struct MapOptions {
  bool writable = false;
  bool shared = true;  ///< stores reach the file; else they stay in this mapping
  bool sync = false;   ///< MAP_SYNC: stores are durable once they have left the caches; `unsupported` if not
};

struct MappedRange {
  std::byte* data = nullptr;
  std::uint64_t bytes = 0;
  PageGuard* guard = nullptr;  ///< what notices pages that cannot be read; null: there can be none
};

}  // namespace ashlar

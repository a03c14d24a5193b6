#pragma once

/// mmap:PATH — a file or block device as memory. Reads and writes copy from and to a mapping; Device::map
/// hands out views of the file without a copy.
///
/// Who may block, and where:
/// - A read of pages that are in memory (mincore, remembered for a quarter of a second) is copied at once; of
///   others, a thread populates them first.
/// - A write goes through a thread that makes its pages writable: the kernel may have to allocate them, read
///   them, or wait for their journal, and says nothing of that beforehand.
/// - Flushes are msync, exactly of the range that was asked for.
///
/// A page that cannot be read (a medium error, a file that was truncated) fails the requests that touch it,
/// and never ends the process. In simulation a mapping is a copy that a flush
/// writes back: there it has no views, no trims, and does not follow its file.

#include "ashlar/block/registry.h"

namespace ashlar {

DeviceKind mmap_kind();

}  // namespace ashlar

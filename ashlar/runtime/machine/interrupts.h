#pragma once

/// How often a disk interrupts: what tells one that polls from one of which sysfs only says so.

#include <cstdint>
#include <optional>

#include "ashlar/runtime/machine/block_stack.h"

namespace ashlar {

/// Of a disk's I/O queues, since boot, over all CPUs: the lines of /proc/interrupts that bear its name
/// ("nvme0q3", "virtio2-req.1"). Nothing where none does: a driver that completes without interrupts of its
/// own, or shares a line with others.
std::optional<std::uint64_t> interrupts_of(const FileTree& tree, const BlockDevice& disk);

/// What the count before and after so many I/Os says, each of which was polled for: a disk that interrupts
/// does so about once for each where they come one by one. Other users of the disk only add, so that it may
/// seem to interrupt, and never seem to poll. Nothing where a count is missing or the I/Os are few.
std::optional<bool> polled(std::optional<std::uint64_t> before, std::optional<std::uint64_t> after,
                           std::uint64_t ios) noexcept;

}  // namespace ashlar

#pragma once

/// A measurement in a process of its own: its memory, threads and files end with it, and what it cost is its
/// own.

#include <functional>
#include <string>

#include "ashlar/base/result.h"
#include "bench/case.h"

namespace ashlar::bench {

/// Forks, runs `work` in the child and returns what it said. `watch` (may be empty) is called in this process
/// while the child runs, some times a second. An error where the child ended without a word.
Result<Sample> in_child(const std::function<Result<Sample>()>& work, const std::function<void()>& watch = {});

/// The same for a child that is killed by SIGKILL once it has said that it is ready (by calling what it is
/// given).
Result<> in_killed_child(const std::function<Result<>(const std::function<void()>& ready)>& work);

}  // namespace ashlar::bench

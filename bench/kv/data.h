#pragma once

/// Data sets: directories that were loaded once and are measured many times.

#include <functional>
#include <memory>
#include <string>

#include "ashlar/base/result.h"
#include "bench/process.h"

namespace ashlar::bench {

using DataSet = std::shared_ptr<const ScratchDirectory>;

/// The data set of this name, made by `load` where it is not at hand. Each of the two shelves (ours, the
/// peer's) keeps the last one that was asked for, so that cases with one data set in common load it once, and
/// the disk holds two.
Result<DataSet> data_set(unsigned shelf, const std::string& parent, const std::string& name,
                         const std::function<Result<>(const std::string& directory)>& load);
/// Empties both shelves: for cases that fill the disk themselves.
void forget_data_sets();

/// What the files below a directory occupy.
std::uint64_t allocated_bytes(const std::string& directory);

}  // namespace ashlar::bench

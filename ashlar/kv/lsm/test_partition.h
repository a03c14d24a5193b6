#pragma once

/// One partition in a directory of its own, for tests.

#include <string>
#include <utility>

#include "ashlar/kv/lsm/partition.h"

namespace ashlar::lsm {

inline Task<Result<>> create_partition(std::string path, const LsmOptions& options, std::uint64_t id) {
  co_return co_await LsmPartition::create(
      CO_TRY(co_await blob::open_directory(std::move(path), options.directory)), id);
}

inline Task<Result<std::unique_ptr<LsmPartition>>> open_partition(std::string path, const LsmOptions& options,
                                                                  ShardContext& shard, std::uint64_t id,
                                                                  KeyRuleTable rules = {}) {
  auto blobs = CO_TRY(co_await blob::open_directory(std::move(path), options.directory));
  co_return co_await LsmPartition::open(std::move(blobs), options, shard, id, rules);
}

}  // namespace ashlar::lsm

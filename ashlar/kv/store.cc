#include "ashlar/kv/store.h"

#include <algorithm>
#include <map>

#include "ashlar/kv/commit.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/when.h"

namespace ashlar::kv {

namespace {

Task<Result<>> settle(Partition& partition, Sequence sequence) {
  const Sequence there = std::min(sequence, partition.last_sequence());
  co_return co_await Ticket(partition, there, Durability::durable, false);
}

Task<Result<>> settle_there(Store& store, PartitionId id, Sequence sequence) {
  Partition& partition = store.partition(id);
  co_return co_await invoke(store.home_of(id), [&] { return settle(partition, sequence); });
}

}  // namespace

Result<> Store::merge(const StoredKey&, std::optional<Bytes>, std::span<const Bytes>,
                      std::vector<std::byte>&) {
  return fail(Errc::unsupported, "merge: no operator for keys of this type");
}

Task<Result<Sequence>> Store::write(std::span<const Write> writes, Durability durability, Instant deadline,
                                    Receipt* receipt) {
  std::map<PartitionId, std::vector<Write>> by_partition;
  for (const Write& write : writes) {
    if (write.key == nullptr) co_return fail(Errc::invalid, "write: a clear is of one partition");
    by_partition[partition_of(*write.key)].push_back(write);
  }
  std::vector<CommitPart> parts;
  for (auto& [id, part] : by_partition) parts.push_back({.id = id, .writes = std::move(part), .checks = {}});
  co_return co_await commit(*this, parts,
                            {.durability = durability, .deadline = deadline, .receipt = receipt});
}

Task<Result<>> Store::sync() {
  co_return co_await reached(sequence_max);
}

Task<Result<>> Store::reached(Sequence sequence) {
  std::vector<Task<Result<>>> settling;
  for (std::uint32_t i = 0; i < partitions(); ++i)
    settling.push_back(settle_there(*this, PartitionId{static_cast<std::uint16_t>(i)}, sequence));
  for (const Result<>& settled : co_await when_all(std::move(settling))) {
    if (!settled) co_return settled;
  }
  co_return Result<>{};
}

}  // namespace ashlar::kv

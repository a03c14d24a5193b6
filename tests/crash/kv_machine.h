#pragma once

/// A machine with a store on it, which lives many lives: each opens the store, asks the model whether what it
/// finds may be so, works on it, and ends in order or by a power cut, a kill or a failing disk.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "ashlar/kv/lsm/store.h"
#include "ashlar/runtime/ops/sim/world.h"
#include "tests/crash/harness.h"
#include "tests/crash/kv_store_work.h"
#include "tests/crash/kv_work.h"

namespace ashlar::crash {

/// How much of everything there is.
struct MachineShape {
  std::size_t partitions = 2;
  std::size_t keys = 40;           ///< of each partition
  bool redraw_options = false;     ///< each life has options of its own
  std::uint64_t memtable_kib = 8;  ///< at least; at most four times as much
  std::uint64_t copy_one_in = 0;   ///< lives in which a checkpoint is taken; 0: none. Not on a device
};

/// Its disk, and what its store has promised over all of its lives.
struct Machine {
  explicit Machine(std::uint64_t seed, const MachineShape& shape = {});

  Random random;
  MachineShape shape;
  lsm::LsmOptions options;
  std::optional<kv::Partitioner> partitioner;  ///< of ranges; nothing: by slots
  sim::Disk disk;
  bool on_device = false;  ///< in the volumes of a device, not in a directory
  StoreModel model;
  std::size_t families = 0;  ///< column families that there are to be
  /// A change of them that was begun and is not known to have ended: of this type of keys; any new one.
  std::optional<std::uint8_t> dropping;
  bool creating = false;
  std::uint64_t lives = 0;
};

/// The store of the machine; runs in a world on its disk.
Task<Result<std::unique_ptr<lsm::LsmStore>>> open_store(Machine& machine, unsigned shards);
/// A machine whose store is on a device: formatted in a life of its own, without faults.
std::unique_ptr<Machine> machine_on_device(std::uint64_t seed);

/// The keys of each partition: of no family, and of those.
Keys keys_of(const kv::Store& store, std::size_t per_partition, const StoreModel::Families& families);

struct Ended {
  bool right;                      ///< nothing was wrong
  bool cut;                        ///< the power went
  std::uint64_t digest;            ///< of the world's trace
  std::uint64_t operations = 0;    ///< calls of the store's and the partitions' interfaces
  std::uint64_t transactions = 0;  ///< over several partitions, committed
  std::uint64_t copies = 0;        ///< checkpoints that were tried
  std::uint64_t drops = 0;         ///< column families that were dropped
  std::uint64_t moved_bytes = 0;   ///< of values, out of value tables that were mostly garbage
};
/// One life; `rounds`: how much each of its tasks does. Reports what is wrong as a failure of the test.
Ended live(Machine& machine, const Fate& fate, unsigned rounds, Coverage& coverage);

}  // namespace ashlar::crash

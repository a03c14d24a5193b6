#pragma once

/// Every way to reach a path, as a table: fastest first, with what each needs of the machine. A new transport
/// gets a line in rungs.cc, and `auto:` and `ashlar doctor` know it.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/runtime/machine/block_stack.h"
#include "ashlar/runtime/machine/machine.h"
#include "ashlar/runtime/ops/file_traits.h"

namespace ashlar {

/// What a device is wanted for. Each goal has a ladder of its own: a part of the table, in its order.
enum class Goal : std::uint8_t {
  latency,     ///< the least time for one request; may cost a CPU that polls
  throughput,  ///< the most per CPU
  persistent,  ///< what is acknowledged as durable is: nothing that lies in volatile memory
  portable,    ///< works on every kernel and in every container
  remote,      ///< past the kernel to a device behind a network
  control,     ///< commands of the device itself, beside reads and writes
};
inline constexpr const char* goal_names[] = {"latency",  "throughput", "persistent",
                                             "portable", "remote",     "control"};

/// A path on a machine: what rungs are judged by. `machine` outlives it.
struct Site {
  Site(const Machine& on, std::string canonical_path, FileTraits what, unsigned shard_count);

  const Machine& machine;
  std::string path;  ///< absolute, without symbolic links
  FileTraits traits;
  unsigned shards;            ///< that run, or would
  std::string no_uring_here;  ///< why the shard that asks has no io_uring, where that is not the machine
  KernelVersion kernel;
  Process process;
  std::vector<Mount> mounts;
  std::optional<Mount> mount;          ///< of a file: the one it lies on
  std::optional<BlockDevice> device;   ///< the block device itself, or the one below the file system
  std::optional<NvmeController> nvme;  ///< where it stands on an NVMe namespace alone
};

/// What a look at the machine says about a rung, before anybody tries it.
struct RungVerdict {
  std::string never;               ///< why no setting makes it work for this path
  std::vector<Need> needs;         ///< what is missing, and the command that supplies it
  std::vector<std::string> facts;  ///< what was found, and speaks for it
  std::string target;              ///< of the spec, where that is not the path
};

struct Rung {
  const char* name;     ///< "io_uring with IOPOLL"
  const char* kind;     ///< as the registry knows it; one that it does not know is not in this build
  const char* options;  ///< of the spec
  unsigned goals;       ///< a bit for each
  void (*judge)(const Site& site, RungVerdict& verdict);
  /// Notes of the opened device that begin so say that it works in another way than the rung's.
  std::vector<std::string_view> undone_by = {};
};

/// The whole table, fastest first.
std::span<const Rung> all_rungs();
bool serves(const Rung& rung, Goal goal) noexcept;

}  // namespace ashlar

#include "bench/block/workload.h"

#include <array>

#include <fmt/format.h>

namespace ashlar::bench::block {

namespace {

constexpr std::uint32_t small = 4096, large = 128 << 10;

constexpr std::array all = {
    Workload{.queue_depth = 1, .quick = true, .ceiling = true},
    Workload{.queue_depth = 8, .cached = false},
    Workload{.queue_depth = 32, .quick = true, .ceiling = true},
    Workload{.queue_depth = 128, .cached = false},
    Workload{.random = false, .io_bytes = large, .queue_depth = 8},
    Workload{.read_percent = 0, .io_bytes = small, .queue_depth = 1},
    Workload{.read_percent = 0, .io_bytes = small, .queue_depth = 8, .cached = false},
    Workload{.read_percent = 0, .io_bytes = small, .queue_depth = 32, .quick = true, .ceiling = true},
    Workload{.read_percent = 0, .io_bytes = small, .queue_depth = 128, .cached = false},
    Workload{.read_percent = 0, .random = false, .io_bytes = large, .queue_depth = 8},
    Workload{.read_percent = 70, .io_bytes = small, .queue_depth = 32},
};

constexpr const char* spdk_here =
    "SPDK 26 bdevperf, one core of a 2-core VM with a virtio disk: measured for this project's targets";
constexpr const char* axboe_2020 =
    "J. Axboe, \"io_uring and Linux IO stack efficiency\", linux-block, August 2020: one core, 512 B "
    "reads, polled, fixed buffers, Optane of the 2nd generation, Linux 5.9-rc1";
constexpr const char* snia_2019 =
    "\"10 Million I/Ops From a Single Thread\", SNIA SDC 2019: SPDK's NVMe driver, 4 KiB random reads, one "
    "thread, 20 NVMe devices";

constexpr std::array read_one = {
    Reference{8.0e6, "null", "SPDK null", spdk_here},
    Reference{1.66e6, "ram", "SPDK malloc", spdk_here},
    Reference{20e3, "uring, polled", "SPDK uring", spdk_here},
    Reference{290e3, "uring, iopoll", "Axboe 2020", axboe_2020},
};
constexpr std::array read_32 = {
    Reference{13.6e6, "null", "SPDK null", spdk_here},
    Reference{1.78e6, "ram", "SPDK malloc", spdk_here},
    Reference{90e3, "uring, polled", "SPDK uring", spdk_here},
};
constexpr std::array read_128 = {
    Reference{2.58e6, "uring, iopoll", "Axboe 2020", axboe_2020},
    Reference{10e6, "SPDK NVMe driver", "SNIA 2019", snia_2019},
};

}  // namespace

std::string Workload::title() const {
  const std::string what = read_percent == 100 ? "read"
                           : read_percent == 0 ? "write"
                                               : fmt::format("{}/{}", read_percent, 100 - read_percent);
  return fmt::format("{} KiB {} {}, QD {}", io_bytes >> 10, random ? "random" : "sequential", what,
                     queue_depth);
}

std::string Workload::name() const {
  const char* const what = read_percent == 100 ? "read" : read_percent == 0 ? "write" : "rw70";
  return fmt::format("{}{}-{}k-qd{}", random ? "rand" : "", what, io_bytes >> 10, queue_depth);
}

std::span<const Workload> workloads() {
  return all;
}

std::span<const Reference> references(const Workload& workload) {
  if (workload.writes() || !workload.random) return {};
  if (workload.queue_depth == 1) return read_one;
  if (workload.queue_depth == 32) return read_32;
  if (workload.queue_depth == 128) return read_128;
  return {};
}

}  // namespace ashlar::bench::block

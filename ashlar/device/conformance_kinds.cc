#include "ashlar/device/conformance.h"
#include "ashlar/device/standard_registry.h"

namespace ashlar::testing {

namespace {

constexpr unsigned simulated_only = static_cast<unsigned>(Where::simulated);

/// Every kind of device, in every form that takes another path through the code.
constexpr KindUnderTest kinds[] = {
    {.name = "null", .spec = "null:4MiB", .stores = false},
    {.name = "ram", .spec = "ram:4MiB"},
    {.name = "ram4k", .spec = "ram:4MiB?block=4KiB"},
    {.name = "uring", .spec = "uring:{file}", .resizes = true, .loses = true},
    {.name = "uring_buffered", .spec = "uring:{file}?direct=off", .resizes = true, .loses = true},
    {.name = "uring_block512_qd4", .spec = "uring:{file}?block=512&qd=4", .resizes = true, .loses = true},
    {.name = "uring_sqpoll", .spec = "uring:{file}?sqpoll", .where = real, .resizes = true},
    {.name = "uring_iopoll", .spec = "uring:{file}?iopoll", .where = real, .resizes = true},
    {.name = "uring_own_ring", .spec = "uring:{file}?own-ring", .where = real, .resizes = true},
    {.name = "uring_async", .spec = "uring:{file}?async&workers=2", .where = real, .resizes = true},
    {.name = "uring_fixed", .spec = "uring:{file}?fixed-buffers", .where = real, .resizes = true},
    {.name = "uring_dsync", .spec = "uring:{file}?sync=dsync", .resizes = true, .loses = true},
    {.name = "uring_bounce", .spec = "uring:{file}?bounce", .resizes = true, .loses = true},
    {.name = "direct", .spec = "direct:{file}", .resizes = true, .loses = true},
    {.name = "direct_bounce", .spec = "direct:{file}?bounce", .resizes = true, .loses = true},
    {.name = "direct_dsync", .spec = "direct:{file}?sync=dsync", .resizes = true, .loses = true},
    {.name = "direct_sync", .spec = "direct:{file}?sync=sync", .resizes = true, .loses = true},
    {.name = "direct_buffered", .spec = "direct:{file}?buffered", .resizes = true, .loses = true},
    {.name = "uring_block_device", .spec = "uring:{loop}", .where = real},
    {.name = "direct_block_device", .spec = "direct:{loop}", .where = real},
    {.name = "mmap_block_device", .spec = "mmap:{loop}", .where = real},
    {.name = "mmap", .spec = "mmap:{file}", .where = real, .resizes = true},
    {.name = "mmap_copy", .spec = "mmap:{file}", .where = simulated_only, .loses = true},
    {.name = "sim", .spec = "sim:{file}", .where = simulated_only, .resizes = true, .loses = true},
    {.name = "automatic", .spec = "auto:{file}", .resizes = true},
    {.name = "pass", .spec = "pass(ram:4MiB)"},
    {.name = "pass_coroutine", .spec = "pass(uring:{file})?coroutine", .resizes = true, .loses = true},
    {.name = "delay",
     .spec = "delay(ram:4MiB)?read=20us&write=50us&flush=100us&distribution=exponential&seed=7"},
    {.name = "delay_on_file",
     .spec = "delay(uring:{file})?write=50us&flush=100us&distribution=exponential&seed=7",
     .where = simulated_only,
     .resizes = true,
     .loses = true},
    {.name = "fault", .spec = "fault(ram:4MiB)?seed=7"},
    {.name = "fault_cache", .spec = "fault(ram:4MiB)?seed=7&cache=256KiB"},
    // A file that shrinks is not noticed while blocks are cached.
    {.name = "fault_cache_on_file",
     .spec = "fault(uring:{file})?seed=7&cache=32KiB",
     .where = simulated_only,
     .loses = true},
    {.name = "trace", .spec = "trace(ram:4MiB)"},
    {.name = "trace_file", .spec = "trace(ram:4MiB)?file={file}.trace"},
    {.name = "trace_on_file",
     .spec = "trace(uring:{file})",
     .where = simulated_only,
     .resizes = true,
     .loses = true},
    {.name = "stack", .spec = "trace(pass(delay(fault(uring:{file}))))", .resizes = true, .loses = true},
};

}  // namespace

std::span<const KindUnderTest> kinds_under_test() {
  return kinds;
}
const Registry& registry_under_test() {
  return standard_registry();
}

}  // namespace ashlar::testing

#pragma once

/// What the tests of fault() share.

#include <array>
#include <cstddef>
#include <string>

#include "ashlar/block/test_memory.h"
#include "ashlar/layer/fault/fault_device.h"

namespace ashlar::testing {

constexpr std::size_t fault_block = 512;
using FaultBlock = std::array<std::byte, fault_block>;

inline FaultBlock filled(int value) {
  FaultBlock data;
  data.fill(static_cast<std::byte>(value));
  return data;
}

/// Opens `spec`, whose outermost device is a fault(), runs `body(fault, channel)`, closes it.
template <class Body>
Task<> with_fault(std::string spec, Body body) {
  const auto on_fault = [](Device& device, Channel& channel, Body& with) -> Task<> {
    co_await with(*FaultDevice::of(device), channel);
  };
  co_await use_device(over_memory(fault_kind()), std::move(spec),
                      [&](Device& device, Channel& channel) { return on_fault(device, channel, body); });
}

}  // namespace ashlar::testing

#include "bench/cases/workload.h"

#include <fmt/format.h>

#include <numeric>
#include <utility>

#include "ashlar/base/random.h"

namespace ashlar::bench {

Keys::Keys(std::uint32_t count) : order(count) {
  for (std::uint32_t i = 0; i < count; ++i) names.push_back(fmt::format("key-{:08}", i));
  std::iota(order.begin(), order.end(), 0u);
  Random random(1);
  for (std::uint32_t i = count; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
}

std::string value_of_bytes(std::size_t bytes) {
  Random random(2);
  std::string value(bytes, '\0');
  for (char& each : value) each = static_cast<char>(random.next());
  return value;
}

std::string key_of_writer(unsigned writer, std::uint64_t number) {
  return fmt::format("key-{:03}-{:08}", writer, number);
}

}  // namespace ashlar::bench

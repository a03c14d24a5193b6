/// The conformance suite, asked of the examples.

#include "ashlar/device/conformance.h"
#include "examples/device/kinds.h"

namespace ashlar::testing {

std::span<const KindUnderTest> kinds_under_test() {
  static constexpr KindUnderTest kinds[] = {
      {.name = "heap", .spec = "heap:4MiB"},
      {.name = "retry", .spec = "retry(heap:4MiB)"},
  };
  return kinds;
}

const Registry& registry_under_test() {
  static const Registry registry = [] {
    Registry kinds;
    kinds.add(examples::heap_kind());
    kinds.add(examples::retry_kind());
    return kinds;
  }();
  return registry;
}

}  // namespace ashlar::testing

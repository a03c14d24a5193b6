/// Any text is a spec or an error that points into it; what was parsed is parsed again to the same.

#include <cstdlib>

#include "ashlar/block/spec.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto spec = ashlar::parse_spec(text);
  if (!spec) {
    if (spec.error().at > text.size() || spec.error().show(text).empty()) std::abort();
    return 0;
  }
  const auto again = ashlar::parse_spec(spec->text);
  if (spec->children.empty() &&
      (!again || again->target != spec->target || again->options.size() != spec->options.size()))
    std::abort();
  return 0;
}

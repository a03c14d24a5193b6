#include "ashlar/app/version.h"

#include <fmt/format.h>

namespace ashlar::app {
namespace {

constexpr const char* build_kind() {
#if defined(__has_feature) && __has_feature(address_sanitizer)
  return "AddressSanitizer";
#elif defined(__has_feature) && __has_feature(thread_sanitizer)
  return "ThreadSanitizer";
#elif defined(NDEBUG)
  return "release";
#else
  return "debug";
#endif
}

}  // namespace

std::string version_line() {
  return "ashlar " ASHLAR_VERSION;
}

std::string version_details() {
  return fmt::format("{}\ncompiler  {}\nlibstdc++ {}\nfmt       {}.{}.{}\nbuild     {}\n", version_line(),
                     __VERSION__, _GLIBCXX_RELEASE, FMT_VERSION / 10'000, FMT_VERSION / 100 % 100,
                     FMT_VERSION % 100, build_kind());
}

}  // namespace ashlar::app

#pragma once

/// Tells AddressSanitizer which memory of a pool is not to be touched; nothing in other builds.

#if defined(__has_feature) && __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define ASHLAR_POISON(address, size) ASAN_POISON_MEMORY_REGION(address, size)
#define ASHLAR_UNPOISON(address, size) ASAN_UNPOISON_MEMORY_REGION(address, size)
#else
#define ASHLAR_POISON(address, size) (void)(address)
#define ASHLAR_UNPOISON(address, size) (void)(address)
#endif

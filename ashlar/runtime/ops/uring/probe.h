#pragma once

/// What io_uring offers to this process, found by trying it, for people who ask (`ashlar doctor`). The back
/// end itself steps down on its own and asks nobody.

#include <vector>

#include "ashlar/base/result.h"

namespace ashlar {

/// One thing that the io_uring back end, or a further ring, uses where the kernel has it and it is asked for.
struct UringFeature {
  const char* name;     ///< "DEFER_TASKRUN"
  const char* since;    ///< first Linux release that has it
  const char* instead;  ///< what the back end does without it
  bool present = false;
};

/// Opens and closes a few small rings. Fails as set_up_ring() does where there is no io_uring at all.
Result<std::vector<UringFeature>> probe_uring();

}  // namespace ashlar

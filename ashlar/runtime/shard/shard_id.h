#pragma once

#include "ashlar/base/strong.h"

namespace ashlar {

using ShardId = Strong<struct ShardIdTag, unsigned>;

}  // namespace ashlar

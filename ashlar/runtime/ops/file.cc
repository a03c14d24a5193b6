#include "ashlar/runtime/ops/file.h"

#include "ashlar/runtime/ops/detached_close.h"

namespace ashlar {

File::~File() {
  if (handle_) close_detached(handle_);
}

}  // namespace ashlar

#include "ashlar/runtime/ops/detached_close.h"

#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

void close_detached(Handle handle) noexcept {
  auto* close = new Operation;
  close->code = OpCode::close;
  close->handle = handle;
  close->complete = [](Operation& done) noexcept { delete &done; };
  Shard::current().backend().submit(*close);
}

}  // namespace ashlar

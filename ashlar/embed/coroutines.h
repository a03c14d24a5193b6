#pragma once

/// All that a program needs whose own coroutines run on Ashlar's shards: the store, the runtime, and what a
/// task may wait for. docs/embedding.md, "Coroutines".
///
/// It brings in the headers of the engine's interface and of the runtime, whose functions are inline in the
/// program: they fit the library that they were installed with, and no other version of it. Unlike the other
/// public headers they define macros: TRY and CO_TRY (base/result.h).

#include "ashlar/embed/merge_operator.h"
#include "ashlar/embed/store.h"
#include "ashlar/kv/key_range.h"
#include "ashlar/runtime/memory/buffer_pool.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/ops/accept_stream.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/ops/receive_stream.h"
#include "ashlar/runtime/ops/socket.h"
#include "ashlar/runtime/shard/runtime.h"
#include "ashlar/runtime/sync/deadline.h"
#include "ashlar/runtime/sync/event.h"
#include "ashlar/runtime/sync/mutex.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/runtime/sync/semaphore.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/runtime/sync/task_channel.h"
#include "ashlar/runtime/sync/when.h"

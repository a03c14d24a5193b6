#include "bench/block/local_shard.h"

#include <chrono>

#include "ashlar/runtime/ops/epoll/epoll_backend.h"
#include "ashlar/runtime/ops/uring/uring_backend.h"

namespace ashlar::bench::block {

Result<std::unique_ptr<LocalShard>> LocalShard::start() {
  Result<std::unique_ptr<Backend>> backend = UringBackend::create();
  if (!backend) backend = EpollBackend::create({});
  return std::unique_ptr<LocalShard>(new LocalShard(TRY(std::move(backend))));
}

LocalShard::LocalShard(std::unique_ptr<Backend> backend)
    : mesh_(1), shard_(ShardId(0), std::move(backend), mesh_, {}) {
  Shard::enter(&shard_);
}

LocalShard::~LocalShard() {
  shard_.scope().cancel();
  while (shard_.scope().live() != 0 || shard_.backend().in_flight() != 0) {
    if (!shard_.poll_once()) shard_.sleep(shard_.now() + std::chrono::milliseconds(1));
  }
}

void LocalShard::run(Task<> task) {
  TaskScope scope(nullptr);
  scope.spawn(std::move(task), Share::foreground);
  while (scope.live() != 0) {
    if (!shard_.poll_once()) shard_.sleep();
  }
}

}  // namespace ashlar::bench::block

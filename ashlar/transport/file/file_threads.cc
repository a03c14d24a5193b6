#include "ashlar/transport/file/file_threads.h"

#include <cassert>

namespace ashlar {

FileThreads::FileThreads(unsigned threads_max)
    : shard_(Shard::current()),
      threads_max_(threads_max),
      workers_(
          [](void* self) noexcept {
            auto& threads = *static_cast<FileThreads*>(self);
            threads.shard_.post(threads);
          },
          this, threads_max) {
  Message::deliver = [](Message& message) noexcept { static_cast<FileThreads&>(message).collect(); };
  Timer::fire = [](Timer& timer) noexcept { static_cast<FileThreads&>(timer).workers_.dispatch(); };
}

FileThreads::~FileThreads() {
  assert(in_flight_ == 0 && "an operation outlived its threads");
}

std::string FileThreads::setup() const {
  return "up to " + std::to_string(threads_max_) + " threads";
}

void FileThreads::submit(Operation& operation) noexcept {
  assert(operation.state == Operation::State::idle);
  operation.state = Operation::State::in_flight;
  operation.transferred = 0;
  ++in_flight_;
  workers_.submit(operation);
  if (!Timer::armed) shard_.timers().arm(*this, shard_.turn_time());
}

void FileThreads::collect() noexcept {
  OperationList done = workers_.collect();
  while (Operation* operation = done.pop()) {
    --in_flight_;
    operation->state = Operation::State::idle;
    operation->complete(*operation);
  }
}

}  // namespace ashlar

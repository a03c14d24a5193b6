#pragma once

#include <utility>

#include "ashlar/runtime/ops/operation.h"

namespace ashlar {

/// First in, first out, linked through Operation::next: where a back end keeps operations that wait their
/// turn.
class OperationList {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  Operation* front() const noexcept { return first_; }
  void push(Operation& operation) noexcept {
    operation.next = nullptr;
    *(first_ == nullptr ? &first_ : &last_->next) = &operation;
    last_ = &operation;
  }
  Operation* pop() noexcept {
    Operation* operation = first_;
    if (operation != nullptr) first_ = operation->next;
    return operation;
  }
  /// O(length); false where it is not in here.
  bool remove(Operation& operation) noexcept {
    Operation* previous = nullptr;
    for (Operation* at = first_; at != nullptr; previous = at, at = at->next) {
      if (at != &operation) continue;
      *(previous == nullptr ? &first_ : &previous->next) = at->next;
      if (last_ == at) last_ = previous;
      return true;
    }
    return false;
  }
  OperationList take() noexcept { return std::exchange(*this, OperationList()); }

 private:
  Operation* first_ = nullptr;
  Operation* last_ = nullptr;
};

}  // namespace ashlar

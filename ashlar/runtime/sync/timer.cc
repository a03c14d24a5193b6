#include "ashlar/runtime/sync/timer.h"

#include <utility>

namespace ashlar {

Timer* TimerHeap::meld(Timer* a, Timer* b) noexcept {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (before(*b, *a)) std::swap(a, b);
  b->sibling = a->child;
  if (a->child != nullptr) a->child->previous = b;
  b->previous = a;
  a->child = b;
  return a;
}

// Two passes: meld neighbours from the left, then the pairs from the right. Iterative, so that a long list of
// siblings costs no stack.
Timer* TimerHeap::merge_pairs(Timer* first) noexcept {
  Timer* pairs = nullptr;  // linked by `sibling`, last pair first
  while (first != nullptr) {
    Timer* a = first;
    Timer* b = a->sibling;
    first = b != nullptr ? b->sibling : nullptr;
    a->sibling = a->previous = nullptr;
    if (b != nullptr) b->sibling = b->previous = nullptr;
    Timer* pair = meld(a, b);
    pair->sibling = pairs;
    pairs = pair;
  }
  Timer* root = nullptr;
  while (pairs != nullptr) {
    Timer* next = pairs->sibling;
    pairs->sibling = nullptr;
    root = meld(root, pairs);
    pairs = next;
  }
  return root;
}

void TimerHeap::arm(Timer& timer, Instant when) noexcept {
  disarm(timer);
  timer.when = when;
  timer.order = armed_count_++;
  timer.child = timer.sibling = timer.previous = nullptr;
  timer.armed = true;
  root_ = meld(root_, &timer);
}

void TimerHeap::disarm(Timer& timer) noexcept {
  if (!timer.armed) return;
  timer.armed = false;
  if (&timer == root_) {
    root_ = merge_pairs(timer.child);
    return;
  }
  Timer* before_it = timer.previous;
  *(before_it->child == &timer ? &before_it->child : &before_it->sibling) = timer.sibling;
  if (timer.sibling != nullptr) timer.sibling->previous = before_it;
  root_ = meld(root_, merge_pairs(timer.child));
}

unsigned TimerHeap::expire(Instant now) noexcept {
  unsigned fired = 0;
  while (root_ != nullptr && root_->when <= now) {
    Timer& due = *root_;
    due.armed = false;
    root_ = merge_pairs(due.child);
    ++fired;
    due.fire(due);
  }
  return fired;
}

}  // namespace ashlar

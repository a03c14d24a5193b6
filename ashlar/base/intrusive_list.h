#pragma once

/// A doubly linked list whose links live in the elements: no allocation, O(1) removal from anywhere.
///
///   struct Waiter : ListHook<> { … };
///   IntrusiveList<Waiter> waiters;
///   waiters.push_back(waiter);
///   waiter.unlink();                      // without knowing the list
///
/// An element that is on several lists derives from several hooks, told apart by a tag.

#include <cassert>
#include <cstddef>
#include <iterator>
#include <utility>

namespace ashlar {

template <class T, class Tag>
class IntrusiveList;

/// The links of an element. Must be unlinked when it is destroyed; does not move or copy.
template <class Tag = void>
class ListHook {
 public:
  ListHook() = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;
  ~ListHook() { assert(!linked()); }

  bool linked() const noexcept { return next_ != nullptr; }

  /// Leaves the list it is on; nothing where it is on none.
  void unlink() noexcept {
    if (!linked()) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    previous_ = next_ = nullptr;
  }

 private:
  template <class, class>
  friend class IntrusiveList;

  void link_before(ListHook& position) noexcept {
    assert(!linked());
    previous_ = position.previous_;
    next_ = &position;
    previous_->next_ = this;
    position.previous_ = this;
  }

  ListHook* previous_ = nullptr;
  ListHook* next_ = nullptr;
};

/// Owns nothing: elements must outlive their stay. Empty when destroyed. Not thread-safe.
template <class T, class Tag = void>
class IntrusiveList {
  using Hook = ListHook<Tag>;

 public:
  template <class Value>
  class Iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = Value*;
    using reference = Value&;

    Iterator() = default;
    explicit Iterator(Hook* at) noexcept : at_(at) {}
    Value& operator*() const noexcept { return static_cast<Value&>(*at_); }
    Value* operator->() const noexcept { return &**this; }
    Iterator& operator++() noexcept { return at_ = at_->next_, *this; }
    Iterator& operator--() noexcept { return at_ = at_->previous_, *this; }
    Iterator operator++(int) noexcept { return std::exchange(*this, Iterator(at_->next_)); }
    Iterator operator--(int) noexcept { return std::exchange(*this, Iterator(at_->previous_)); }
    bool operator==(const Iterator&) const = default;

   private:
    Hook* at_ = nullptr;
  };
  using iterator = Iterator<T>;
  using const_iterator = Iterator<const T>;

  IntrusiveList() noexcept { end_.previous_ = end_.next_ = &end_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    assert(empty());
    end_.previous_ = end_.next_ = nullptr;
  }

  bool empty() const noexcept { return end_.next_ == &end_; }
  T& front() noexcept { return static_cast<T&>(*end_.next_); }
  T& back() noexcept { return static_cast<T&>(*end_.previous_); }

  void push_front(T& element) noexcept { hook(element).link_before(*end_.next_); }
  void push_back(T& element) noexcept { hook(element).link_before(end_); }
  void insert_before(T& position, T& element) noexcept { hook(element).link_before(hook(position)); }

  /// The removed element, or nullptr where the list is empty.
  T* pop_front() noexcept {
    if (empty()) return nullptr;
    T& element = front();
    hook(element).unlink();
    return &element;
  }
  void erase(T& element) noexcept { hook(element).unlink(); }
  void clear() noexcept {
    while (pop_front() != nullptr) {
    }
  }

  /// Appends all elements of `other`, which is empty afterwards. O(1).
  void splice_back(IntrusiveList& other) noexcept {
    if (other.empty()) return;
    Hook *first = other.end_.next_, *last = other.end_.previous_;
    other.end_.previous_ = other.end_.next_ = &other.end_;
    first->previous_ = end_.previous_;
    end_.previous_->next_ = first;
    last->next_ = &end_;
    end_.previous_ = last;
  }

  iterator begin() noexcept { return iterator(end_.next_); }
  iterator end() noexcept { return iterator(&end_); }
  const_iterator begin() const noexcept { return const_iterator(end_.next_); }
  const_iterator end() const noexcept { return const_iterator(const_cast<Hook*>(&end_)); }

 private:
  static Hook& hook(T& element) noexcept { return element; }

  Hook end_;  // a ring: the end is an element like any other
};

}  // namespace ashlar

#pragma once

/// S3-FIFO (Yang et al., SOSP 2023): which block to evict, in two queues that no hit touches.
///
///  1. What is new enters the small queue, a tenth of all; what was evicted from there a short while ago
///  enters the
///     main queue instead. So a scan passes through the small queue and leaves the main one alone.
///  2. The head of the small queue moves to the main queue if it was used more than once since it came; else
///  it is
///     evicted and remembered as a ghost.
///  3. The head of the main queue goes round again, a little colder, if it was used; else it is evicted.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ashlar/base/intrusive_list.h"

namespace ashlar::lsm {

/// Remembers roughly the last `capacity` identities given to it: a table of fingerprints that age. Forgets
/// early where two share a place; mistakes a stranger for a ghost once in four billion.
class Ghosts {
 public:
  explicit Ghosts(std::size_t capacity) : capacity_(capacity), places_(std::bit_ceil(2 * capacity + 1)) {}

  void remember(std::uint64_t identity) noexcept {
    places_[identity & (places_.size() - 1)] = {static_cast<std::uint32_t>(identity >> 32), ++now_};
  }
  std::size_t memory_bytes() const noexcept { return places_.size() * sizeof(Place); }
  bool recall(std::uint64_t identity) const noexcept {
    const Place& place = places_[identity & (places_.size() - 1)];
    return place.time != 0 && place.fingerprint == static_cast<std::uint32_t>(identity >> 32) &&
           now_ - place.time < capacity_;
  }

 private:
  struct Place {
    std::uint32_t fingerprint = 0;
    std::uint32_t time = 0;
  };
  std::size_t capacity_;
  std::uint32_t now_ = 0;
  std::vector<Place> places_;
};

/// The two queues over elements of type T, which has ListHook<> and
///   std::uint64_t identity()     a well-mixed hash of what it holds
///   unsigned heat(), cool()      uses since it came, up to 3; one less, or none
///   bool pinned()                not to be evicted now
///   bool in_main_                left to the queues
/// Owner shard only.
template <class T>
class S3Fifo {
 public:
  explicit S3Fifo(std::size_t capacity) : small_target_(capacity / 10), ghosts_(capacity - capacity / 10) {}

  /// From now on there are so many elements at most; ghosts are remembered for as many as at first.
  void resize(std::size_t capacity) noexcept { small_target_ = capacity / 10; }

  void insert(T& element) noexcept { push(element, ghosts_.recall(element.identity())); }

  void remove(T& element) noexcept {
    element.unlink();
    --(element.in_main_ ? main_size_ : small_size_);
  }

  /// Takes one element out, or returns nullptr where all are pinned. Passes over a few that were used, not
  /// over all: where everything is hot, the choice matters little and the shard's time more.
  T* evict() noexcept {
    const std::size_t steps = patience + 2 * size();  // pinned elements go round at most twice
    for (std::size_t step = 0; step < steps && size() != 0; ++step) {
      const bool from_small = small_size_ > small_target_ || main_size_ == 0;
      T& head = from_small ? small_.front() : main_.front();
      remove(head);
      if (head.pinned()) {
        push(head, true);
      } else if (step < patience && head.heat() > (from_small ? 1 : 0)) {
        head.cool(from_small ? 0 : head.heat() - 1);
        push(head, true);
      } else {
        if (from_small) ghosts_.remember(head.identity());
        return &head;
      }
    }
    return nullptr;
  }

  std::size_t size() const noexcept { return small_size_ + main_size_; }
  std::size_t memory_bytes() const noexcept { return ghosts_.memory_bytes(); }

 private:
  static constexpr std::size_t patience = 128;

  void push(T& element, bool to_main) noexcept {
    element.in_main_ = to_main;
    (to_main ? main_ : small_).push_back(element);
    ++(to_main ? main_size_ : small_size_);
  }

  std::size_t small_target_;
  IntrusiveList<T, void> small_, main_;
  std::size_t small_size_ = 0, main_size_ = 0;
  Ghosts ghosts_;
};

}  // namespace ashlar::lsm

#pragma once

/// One worker's clock: when it is over, and what it has done so far. Looks at the cycle counter once for each
/// operation where latencies are wanted, else once for each slice.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "bench/kv/plan.h"
#include "bench/machine.h"

namespace ashlar::bench {

class Pace {
 public:
  /// `slice`: operations between two looks at the clock where nothing else asks for it.
  Pace(const Plan& plan, unsigned slice)
      : timed_(plan.timed),
        slice_(slice),
        left_(plan.operations == 0 ? ~std::uint64_t{0}
                                   : std::max<std::uint64_t>(1, plan.operations / plan.workers)),
        cycles_each_ns_(cycles_per_second() * 1e-9),
        begin_(cycles()),
        last_(begin_) {
    end_ = plan.seconds > 0 ? begin_ + static_cast<std::uint64_t>(plan.seconds * cycles_per_second())
                            : ~std::uint64_t{0};
    marks_.reserve(slices_max);
    marks_.push_back(begin_);
  }

  /// After `count` operations: whether to go on.
  bool done(std::uint64_t count) {
    outcome_.operations += count;
    in_slice_ += count;
    left_ -= std::min(left_, count);
    if (timed_) {
      record(count);
    } else if (in_slice_ >= slice_) {
      mark();
    }
    return left_ != 0 && last_ < end_;
  }
  void missing() noexcept { ++outcome_.missing; }

  Outcome finish() {
    outcome_.seconds = static_cast<double>(cycles() - begin_) / cycles_per_second();
    outcome_.ns_each = median_slice();
    return std::move(outcome_);
  }

 private:
  static constexpr std::size_t slices_max = 1u << 16;

  void record(std::uint64_t count) {
    const std::uint64_t now = cycles();
    const auto ns = static_cast<std::uint64_t>(static_cast<double>(now - last_) / cycles_each_ns_);
    outcome_.latency_ns.record(ns, count);
    const double since = static_cast<double>(now - begin_) / (cycles_each_ns_ * 1e9);
    const auto index = static_cast<std::size_t>(since / interval_seconds);
    if (index >= outcome_.intervals.size()) outcome_.intervals.resize(index + 1);
    Interval& interval = outcome_.intervals[index];
    interval.operations += count;
    interval.longest_ns = std::max(interval.longest_ns, ns);
    last_ = now;
  }
  void mark() {
    last_ = cycles();
    if (marks_.size() < slices_max) marks_.push_back(last_);
    marked_operations_ = in_slice_;
    in_slice_ = 0;
  }
  double median_slice() {
    if (marks_.size() < 3 || marked_operations_ == 0) return 0;
    for (std::size_t i = marks_.size() - 1; i > 0; --i) marks_[i] -= marks_[i - 1];
    const auto middle = marks_.begin() + 1 + static_cast<std::ptrdiff_t>((marks_.size() - 1) / 2);
    std::nth_element(marks_.begin() + 1, middle, marks_.end());
    return static_cast<double>(*middle) / cycles_each_ns_ / static_cast<double>(marked_operations_);
  }

  bool timed_;
  std::uint64_t slice_, left_;
  double cycles_each_ns_;
  std::uint64_t begin_, last_, end_ = 0;
  std::uint64_t in_slice_ = 0, marked_operations_ = 0;
  std::vector<std::uint64_t> marks_;
  Outcome outcome_;
};

}  // namespace ashlar::bench

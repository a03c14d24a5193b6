#include "bench/kv/stream.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

namespace ashlar::bench {

namespace {

constexpr std::size_t pool_bytes = 4u << 20;

/// Random bytes that values are cut from; beyond the largest value there is room for different cuts.
const std::string& value_pool() {
  static const std::string pool = [] {
    Random random(2);
    std::string bytes(pool_bytes, '\0');
    for (std::size_t at = 0; at < bytes.size(); at += 8) {
      const std::uint64_t word = random.next();
      std::memcpy(bytes.data() + at, &word, 8);
    }
    return bytes;
  }();
  return pool;
}

/// Its zeta takes a pass over all ranks: made once for a size.
std::shared_ptr<const Zipfian> zipfian_over(std::uint64_t count) {
  static std::mutex mutex;
  static std::map<std::uint64_t, std::shared_ptr<const Zipfian>> made;
  const std::scoped_lock lock(mutex);
  auto& found = made[count];
  if (!found) found = std::make_shared<const Zipfian>(count);
  return found;
}

/// FNV-1a of the rank's bytes, which is how YCSB scatters its popular keys.
std::uint64_t scattered(std::uint64_t rank) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (int byte = 0; byte < 8; ++byte, rank >>= 8) hash = (hash ^ (rank & 0xff)) * 0x100000001b3;
  return hash;
}

}  // namespace

void Outcome::merge(const Outcome& other) {
  operations += other.operations;
  seconds = std::max(seconds, other.seconds);
  missing += other.missing;
  latency_ns.merge(other.latency_ns);
  if (intervals.size() < other.intervals.size()) intervals.resize(other.intervals.size());
  for (std::size_t i = 0; i < other.intervals.size(); ++i) {
    intervals[i].operations += other.intervals[i].operations;
    intervals[i].longest_ns = std::max(intervals[i].longest_ns, other.intervals[i].longest_ns);
  }
}

KeyText::KeyText(std::uint64_t number) noexcept {
  constexpr std::size_t digits_least = 8;
  char* const end = text_ + sizeof text_;
  char* at = end;
  std::size_t digits = 0;
  for (; number != 0 || digits < digits_least; number /= 10, ++digits)
    *--at = static_cast<char>('0' + number % 10);
  std::memmove(text_ + 4, at, digits);
  std::memcpy(text_, "key-", 4);
  size_ = 4 + digits;
}

Zipfian::Zipfian(std::uint64_t count) : count_(static_cast<double>(count)), zeta_(0) {
  for (std::uint64_t rank = 1; rank <= count; ++rank) zeta_ += std::pow(static_cast<double>(rank), -theta);
  second_ = 1 + std::pow(0.5, theta);
  eta_ = (1 - std::pow(2 / count_, 1 - theta)) / (1 - second_ / zeta_);
}

std::uint64_t Zipfian::next(Random& random) const noexcept {
  const double u = random.fraction();
  const double scaled = u * zeta_;
  if (scaled < 1) return 0;
  if (scaled < second_) return std::min<std::uint64_t>(1, static_cast<std::uint64_t>(count_) - 1);
  const double rank = count_ * std::pow(eta_ * u - eta_ + 1, 1 / (1 - theta));
  return std::min(static_cast<std::uint64_t>(rank), static_cast<std::uint64_t>(count_) - 1);
}

std::uint64_t shuffled_key(std::uint64_t position, std::uint64_t count) noexcept {
  // Three rounds of an invertible mix of as many bits as it takes; what falls outside is mixed again.
  const unsigned bits = std::max(1u, static_cast<unsigned>(std::bit_width(count - 1)));
  const std::uint64_t mask = bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  std::uint64_t mixed = position;
  do {
    for (const std::uint64_t odd : {0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u, 0x94d049bb133111ebu}) {
      mixed = (mixed * odd + 0x1234567) & mask;
      mixed ^= mixed >> (bits / 2 + 1);
    }
  } while (mixed >= count);
  return mixed;
}

Stream::Stream(const Plan& plan, unsigned worker) : plan_(plan), random_(worker + 1), worker_(worker) {
  const bool zipf = plan.choice == Choice::zipfian || plan.choice == Choice::latest;
  if (zipf) zipfian_ = zipfian_over(plan.keys);
  (void)value_pool();  // made before any clock starts
  first_ = plan.keys * worker / plan.workers;
  last_ = std::max(plan.keys * (worker + 1) / plan.workers, first_ + 1);
}

std::uint64_t Stream::next_key() noexcept {
  switch (plan_.choice) {
    case Choice::uniform: return random_.below(plan_.keys);
    case Choice::sequential: return first_ + step_++ % (last_ - first_);
    case Choice::shuffled: return shuffled_key(first_ + step_++ % (last_ - first_), plan_.keys);
    case Choice::zipfian: return scattered(zipfian_->next(random_)) % plan_.keys;
    case Choice::latest: {
      const std::uint64_t newest = plan_.keys + inserted_ * plan_.workers;
      return newest - 1 - std::min(zipfian_->next(random_), newest - 1);
    }
  }
  return 0;
}

Verb Stream::next_verb() noexcept {
  const Mix& mix = plan_.mix;
  if (mix.reads == 100) return Verb::read;
  if (mix.updates == 100) return Verb::update;
  if (mix.scans == 100) return Verb::scan;
  auto dice = static_cast<unsigned>(random_.below(100));
  const auto falls = [&](unsigned share) {
    const bool in = dice < share;
    dice -= in ? 0 : share;
    return in;
  };
  if (falls(mix.reads)) return Verb::read;
  if (falls(mix.updates)) return Verb::update;
  if (falls(mix.inserts)) return Verb::insert;
  return falls(mix.scans) ? Verb::scan : Verb::read_modify_write;
}

Operation Stream::next() noexcept {
  const Verb verb = next_verb();
  if (verb == Verb::insert) return {verb, plan_.keys + inserted_++ * plan_.workers + worker_};
  const std::uint64_t key = next_key();
  if (verb != Verb::scan) return {verb, key};
  const unsigned most = plan_.scan_entries;
  return {verb, key, plan_.scan_to_random ? 1 + static_cast<unsigned>(random_.below(most)) : most};
}

std::string_view Stream::value() noexcept {
  const std::string& pool = value_pool();
  const std::uint64_t room = pool.size() - plan_.value_bytes;
  return {pool.data() + (room != 0 ? random_.below(room) : 0), plan_.value_bytes};
}

}  // namespace ashlar::bench

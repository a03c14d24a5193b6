#include "ashlar/layer/fault/fault_device.h"

#include <charconv>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "ashlar/layer/fault/fault_channel.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

namespace {

struct Range {
  std::uint64_t first, last;
};

/// "100-199+500": both ends included.
std::optional<std::vector<Range>> parse_ranges(std::string_view text) {
  std::vector<Range> ranges;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    Range range{};
    auto [rest, error] = std::from_chars(at, end, range.first);
    if (error != std::errc{}) return std::nullopt;
    range.last = range.first;
    if (rest != end && *rest == '-') {
      const auto [behind, wrong] = std::from_chars(rest + 1, end, range.last);
      if (wrong != std::errc{}) return std::nullopt;
      rest = behind;
    }
    if (range.last < range.first || (rest != end && (*rest != '+' || rest + 1 == end))) return std::nullopt;
    ranges.push_back(range);
    at = rest == end ? end : rest + 1;
  }
  return ranges;
}

std::unexpected<SpecError> wrong_option(const Spec& spec, std::string_view name, std::string message) {
  SpecError error{std::move(message), spec.at};
  for (const SpecOption& option : spec.options) {
    if (option.name == name) error.at = option.value_at;
  }
  return std::unexpected(std::move(error));
}

SpecResult<FaultChances> chances_of(const Spec& spec, const FaultOptions& options) {
  FaultChances chances;
  for (std::size_t fault = 0; fault < fault_count; ++fault) {
    if (options.chances[fault].empty()) continue;
    const auto chance = Chance::parse(options.chances[fault]);
    const char* const name = to_string(static_cast<Fault>(fault));
    if (!chance)
      return wrong_option(spec, name, fmt::format("{}: a chance is 0, 1 or N/M, such as 1/1000", name));
    chances[fault] = *chance;
  }
  return chances;
}

Geometry with_cache(Geometry geometry, bool cache) noexcept {
  if (!cache) return geometry;
  geometry.write_cache = true;
  // A power cut leaves each block of the cache whole.
  if (geometry.atomic_write_bytes_max == 0)
    geometry.atomic_write_bytes_min = geometry.atomic_write_bytes_max = geometry.block_bytes;
  return geometry;
}

Task<SpecResult<std::unique_ptr<Device>>> open_fault(const Spec& spec, DeviceKind::Children& children) {
  const auto options = options_of<FaultOptions>(spec);
  if (!options) co_return std::unexpected(options.error());
  const auto chances = chances_of(spec, *options);
  if (!chances) co_return std::unexpected(chances.error());
  const auto bad = parse_ranges(options->bad);
  const std::uint64_t blocks = children.front()->geometry().blocks;
  if (!bad) co_return wrong_option(spec, "bad", "bad: takes ranges of blocks, such as 100-199+500");
  for (const Range& range : *bad) {
    if (range.last >= blocks)
      co_return wrong_option(spec, "bad", fmt::format("bad: the device has {} blocks", blocks));
  }
  const auto below = co_await children.front()->channel();
  if (!below) co_return open_failed(spec, below.error());
  auto device = std::make_unique<FaultDevice>(spec, std::move(children), **below, *options, *chances);
  for (const Range& range : *bad) device->mark_bad(Lba(range.first), range.last - range.first + 1);
  co_return device;
}

}  // namespace

DeviceKind fault_kind() {
  return {.name = "fault",
          .help = "errors, corruption, torn, lost and misdirected writes from a seed; power cuts for tests",
          .children_min = 1,
          .children_max = 1,
          .describe = describe_as<FaultOptions>,
          .open = open_fault};
}

FaultDevice::FaultDevice(const Spec& spec, DeviceKind::Children children, Channel& below,
                         const FaultOptions& options, const FaultChances& chances)
    : LayerDevice{spec.text, with_cache(children.front()->geometry(), options.cache_bytes != 0),
                  std::move(children)},
      chances_(chances),
      slow_by_(options.slow_by),
      seed_(options.seed != 0 ? options.seed : Shard::current().random()),
      home_(Shard::current().id()),
      random_(~seed_),
      channels_(Shard::current().mesh().shard_count()),
      armed_(options.armed) {
  if (options.cache_bytes != 0) cache_ = std::make_unique<WriteCache>(below, options.cache_bytes);
}

Task<Result<std::unique_ptr<Channel>>> FaultDevice::open_channel() {
  Channel* const below = CO_TRY(co_await child().channel());
  const std::uint32_t shard = Shard::current().id().value;
  auto channel = std::make_unique<FaultChannel>(*this, *below, seed_ + shard);
  channels_[shard] = channel.get();
  co_return channel;
}

std::uint64_t FaultDevice::injected() const noexcept {
  return std::accumulate(
      counts_.begin(), counts_.end(), std::uint64_t{0},
      [](std::uint64_t sum, const auto& count) { return sum + count.load(std::memory_order_relaxed); });
}

void FaultDevice::mark_bad(Lba lba, std::uint64_t blocks) {
  if (blocks == 0) return;
  heal(lba, blocks);  // ranges stay disjoint
  bad_.emplace(lba.value, lba.value + blocks);
  any_bad_.store(true, std::memory_order_relaxed);
}

std::optional<Lba> FaultDevice::first_bad(Lba lba, std::uint64_t blocks) const noexcept {
  auto at = bad_.upper_bound(lba.value);
  if (at != bad_.begin() && std::prev(at)->second > lba.value) return lba;
  if (at != bad_.end() && at->first < lba.value + blocks) return Lba(at->first);
  return std::nullopt;
}

void FaultDevice::heal(Lba lba, std::uint64_t blocks) {
  const std::uint64_t first = lba.value, end = first + blocks;
  auto at = bad_.upper_bound(first);
  if (at != bad_.begin() && std::prev(at)->second > first) --at;
  while (at != bad_.end() && at->first < end) {
    const auto [bad_first, bad_end] = *at;
    at = bad_.erase(at);
    if (bad_first < first) bad_.emplace(bad_first, first);
    if (bad_end > end) bad_.emplace(end, bad_end);
  }
  any_bad_.store(!bad_.empty(), std::memory_order_relaxed);
}

Task<> FaultDevice::drain(std::size_t shard) {
  if (FaultChannel* const channel = channels_[shard]) co_await channel->drain_below();
}

Task<Result<>> FaultDevice::cut_power() {
  if (!powered()) co_return Result<>{};
  life_.fetch_add(1, std::memory_order_acq_rel);
  for (std::size_t shard = 0; shard < channels_.size(); ++shard) {
    co_await invoke(ShardId(static_cast<unsigned>(shard)), [this, shard] { return drain(shard); });
  }
  if (cache_) blocks_lost_ += CO_TRY(co_await cache_->cut(random_));
  co_return Result<>{};
}

void FaultDevice::restore_power() noexcept {
  if (!powered()) life_.fetch_add(1, std::memory_order_acq_rel);
}

}  // namespace ashlar

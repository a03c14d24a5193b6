#include "ashlar/runtime/shard/io_rings.h"

#include <utility>

namespace ashlar {

namespace {

constexpr IoRole roles[] = {IoRole::foreground, IoRole::log, IoRole::flush, IoRole::compaction};

RingOptions options_of(IoRole role, const IoRingsOptions& options) noexcept {
  const bool latency = role == IoRole::foreground || role == IoRole::log;
  const bool sqpoll = options.polling == RingPolling::sqpoll || options.polling == RingPolling::both;
  const bool iopoll = options.polling == RingPolling::iopoll || options.polling == RingPolling::both;
  RingOptions ring;
  ring.queue_depth = options.queue_depth;
  ring.single_issuer = options.single_issuer;
  ring.sqpoll = sqpoll;
  ring.sqpoll_idle_ms = options.sqpoll_idle_ms;
  ring.iopoll = iopoll && latency;
  ring.log_writes_only = true;
  ring.fixed_files = false;  // a shard has more of them than a ring has slots
  return ring;
}

constexpr std::uint16_t encoded(BackgroundPriority priority) noexcept {
  switch (priority) {
    case BackgroundPriority::normal: break;
    case BackgroundPriority::low: return io_priority_best_effort(7);
    case BackgroundPriority::idle: return io_priority_idle;
  }
  return 0;
}

}  // namespace

const char* to_string(IoRole role) noexcept {
  switch (role) {
    case IoRole::automatic: return "main";
    case IoRole::foreground: return "foreground";
    case IoRole::log: return "log";
    case IoRole::flush: return "flush";
    case IoRole::compaction: return "compaction";
  }
  return "?";
}

IoRings::IoRings(Backend& backend, const IoRingsOptions& options)
    : backend_(backend),
      background_async_(options.background_async),
      background_priority_(encoded(options.background_priority)) {
  marks_ = background_async_ || background_priority_ != 0;
  if (options.sharing == RingSharing::shared) return;
  for (const IoRole role : roles) {
    auto ring = backend.open_ring(options_of(role, options));
    if (!ring) {
      notes_.push_back(std::string(to_string(role)) + ": " + ring.error().to_string() +
                       ": the loop's ring carries everything");
      for (auto& opened : rings_) opened.reset();
      return;
    }
    rings_[static_cast<unsigned>(role)] = *std::move(ring);
  }
  split_ = true;
  attaches_ = options.polling == RingPolling::iopoll || options.polling == RingPolling::both;
}

IoRings::~IoRings() = default;

void IoRings::attach(Handle file) {
  for (const IoRole role : {IoRole::foreground, IoRole::log})
    rings_[static_cast<unsigned>(role)]->attach(file);
}

/// Whoever asked for something else by name gets that.
void IoRings::mark(Operation& operation) const noexcept {
  if (operation.code != OpCode::read && operation.code != OpCode::write) return;
  operation.async = operation.async || background_async_;
  if (operation.priority == 0) operation.priority = background_priority_;
}

const RingStats* IoRings::stats(IoRole role) const noexcept {
  const auto& ring = rings_[static_cast<unsigned>(role)];
  return ring != nullptr ? ring->stats() : role == IoRole::automatic ? backend_.ring_stats() : nullptr;
}

std::vector<std::string> IoRings::describe() const {
  std::vector<std::string> lines;
  for (const IoRole role : roles) {
    const auto& ring = rings_[static_cast<unsigned>(role)];
    if (ring == nullptr) continue;
    lines.push_back(std::string(to_string(role)) + ": " + ring->setup());
    for (const std::string& note : ring->notes()) lines.push_back(std::string(to_string(role)) + ": " + note);
  }
  lines.insert(lines.end(), notes_.begin(), notes_.end());
  return lines;
}

}  // namespace ashlar

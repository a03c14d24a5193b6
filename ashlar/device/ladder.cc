/// 1. Look at the path: what it is, and what it stands on.
/// 2. Judge every rung of the goal by the machine alone.
/// 3. Try those from which nothing is missing, fastest first: open, read one block. The first that works is
///    chosen. One that opens, but says in its notes that it works in another way, is another rung; so is one
///    that is to poll, where the disk interrupts for what it reads.

#include "ashlar/device/ladder.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "ashlar/runtime/machine/interrupts.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar {

namespace {

constexpr std::uint64_t sector_bytes = 512;  // the smallest block of any device

/// Why nothing on this path survives power loss; empty where something may.
std::string forgets(const Site& site) {
  if (site.mount && site.mount->volatile_memory())
    return fmt::format("{} lies in memory ({}) and is gone with the power", site.mount->point,
                       site.mount->type);
  if (!site.device) return {};
  for (const BlockDevice* disk : disks_of(*site.device)) {
    if (disk->driver == "zram" || disk->driver == "ram")
      return fmt::format("{} lies in memory and is gone with the power", disk->name);
  }
  return {};
}

LadderStep judge_rung(const Rung& rung, const Site& site, Goal goal, const Registry& kinds) {
  LadderStep step{.rung = &rung, .spec = {}, .verdict = {}, .outcome = {}};
  rung.judge(site, step.verdict);
  if (goal == Goal::persistent && step.verdict.never.empty()) step.verdict.never = forgets(site);
  const std::string& target = step.verdict.target.empty() ? site.path : step.verdict.target;
  step.spec = fmt::format("{}:{}{}{}", rung.kind, quote_target(target), *rung.options == '\0' ? "" : "?",
                          rung.options);
  if (!step.verdict.never.empty()) {
    step.state = LadderStep::State::never;
  } else if (kinds.find(rung.kind) == nullptr) {
    step.state = LadderStep::State::not_built;
  } else if (!step.verdict.needs.empty()) {
    step.state = LadderStep::State::would_work;
  }
  return step;
}

/// A block of zeros to read into: enough for every device.
Task<Result<>> read_first_block(Device& device) {
  Channel* const channel = CO_TRY(co_await device.channel());
  const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate(channel->geometry().block_bytes));
  co_return co_await channel->read(Lba(0), buffer);
}

/// The note by which the device says that it is not what the rung promises.
std::string undone(const Rung& rung, const Device& device) {
  for (const std::string& note : device.notes()) {
    for (const std::string_view sign : rung.undone_by) {
      if (note.starts_with(sign)) return note;
    }
  }
  return {};
}

/// The same for polling, judged by what happens: sysfs says how a queue was set up, and not how it completes.
Task<std::string> interrupts_instead(const Rung& rung, const Site& site, Device& device) {
  constexpr unsigned reads = 64;
  if (!std::string_view(rung.options).contains("iopoll") || !site.device) co_return std::string();
  const auto disks = disks_of(*site.device);
  if (disks.size() != 1) co_return std::string();
  const auto before = interrupts_of(site.machine.tree, *disks.front());
  for (unsigned i = 0; i < reads; ++i) {
    if (!co_await read_first_block(device)) co_return std::string();
  }
  if (polled(before, interrupts_of(site.machine.tree, *disks.front()), reads).value_or(true))
    co_return std::string();
  co_return fmt::format("{} interrupts for each read (/proc/interrupts), though queue/io_poll is 1",
                        disks.front()->name);
}

bool has_option(const DeviceKind& kind, const std::string& option) {
  OptionSet set;
  const auto bound_to = kind.describe(set);
  return set.find(option.substr(0, option.find('='))) != nullptr;
}

std::string join(const std::vector<std::string>& parts, const char* between) {
  std::string line;
  for (const std::string& part : parts) {
    if (!line.empty()) line += between;
    line += part;
  }
  return line;
}

std::string show(const std::vector<Need>& needs) {
  std::vector<std::string> parts;
  parts.reserve(needs.size());
  for (const Need& need : needs) parts.push_back(fmt::format("{} ({})", need.lacks, need.remedy));
  return join(parts, "; ");
}

}  // namespace

const char* to_string(LadderStep::State state) noexcept {
  switch (state) {
    case LadderStep::State::works: return "works";
    case LadderStep::State::untried: return "untried";
    case LadderStep::State::would_work: return "would work";
    case LadderStep::State::failed: return "failed";
    case LadderStep::State::not_built: return "not built";
    case LadderStep::State::never: return "never";
  }
  return "?";
}

std::string LadderStep::reason() const {
  switch (state) {
    case State::works: return join(verdict.facts, ", ");
    case State::untried: return "a faster one works";
    case State::would_work: return show(verdict.needs);
    case State::failed: return outcome;
    case State::not_built:
      return fmt::format("this build has no {}:{}{}", rung->kind, verdict.needs.empty() ? "" : "; ",
                         show(verdict.needs));
    case State::never: return verdict.never;
  }
  return {};
}

std::vector<std::string> Ladder::reasons() const {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < std::min(chosen, steps.size()); ++i)
    lines.push_back(
        fmt::format("{}: {}: {}", steps[i].rung->name, to_string(steps[i].state), steps[i].reason()));
  return lines;
}

Task<SpecResult<Site>> look_at(const Machine& machine, std::string path, unsigned shards) {
  const auto failed = [](Errc code, std::string message) {
    return std::unexpected(SpecError{std::move(message), 0, code});
  };
  auto file = co_await File::open(path, O_RDONLY | O_NONBLOCK);  // a pipe would wait for its other end
  if (!file && file.error().code == Errc::not_found && machine.tree.exists("/sys/bus/pci/devices/" + path))
    co_return failed(Errc::unsupported,
                     "a PCI device, which only a driver in user space reaches: give its block device");
  if (!file && file.error().native == EPERM)
    co_return failed(file.error().code,
                     file.error().to_string() +
                         "; not by its mode, but by device rules of a control group (docker: --device; "
                         "systemd: DeviceAllow=) or by a security module");
  if (!file) co_return failed(file.error().code, file.error().to_string());
  auto traits = file->describe();
  co_await file->close();
  if (!traits) co_return failed(traits.error().code, traits.error().to_string());
  if (traits->kind == FileTraits::Kind::other)
    co_return failed(Errc::invalid,
                     "a directory, pipe or socket: takes a file, a block or a character device");
  if (traits->kind == FileTraits::Kind::regular && traits->bytes == 0)
    co_return failed(Errc::invalid, "an empty file: a device has at least one block");
  if (traits->bytes % sector_bytes != 0)
    co_return failed(Errc::invalid,
                     fmt::format("its size of {} bytes is not whole blocks of 512B: truncate -s %512 {}",
                                 traits->bytes, path));
  std::string canonical = machine.tree.resolve(path);
  if (canonical.empty()) canonical = std::move(path);  // of a simulated disk
  Site site(machine, std::move(canonical), *std::move(traits), shards);
  if (Shard::current().backend().name() == std::string_view("epoll"))
    site.no_uring_here = "this shard runs on epoll and threads";
  co_return site;
}

Ladder judge(const Site& site, Goal goal, const Registry& kinds) {
  Ladder ladder{.path = site.path, .goal = goal, .steps = {}};
  for (const Rung& rung : all_rungs()) {
    if (serves(rung, goal)) ladder.steps.push_back(judge_rung(rung, site, goal, kinds));
  }
  return ladder;
}

Task<std::unique_ptr<Device>> try_step(LadderStep& step, const Site& site, const Registry& kinds,
                                       std::vector<std::string> options) {
  std::string spec = step.spec;
  bool first = *step.rung->options == '\0';
  for (const std::string& option : options) {
    if (!has_option(*kinds.find(step.rung->kind), option)) continue;
    spec += (std::exchange(first, false) ? '?' : '&') + option;
  }
  step.state = LadderStep::State::failed;
  auto device = co_await kinds.open(spec);
  if (!device) {
    step.outcome = device.error().message;
    step.code = device.error().code;
    co_return nullptr;
  }
  step.outcome = undone(*step.rung, **device);
  if (step.outcome.empty()) {
    const Result<> read = co_await read_first_block(**device);
    if (!read) {
      step.outcome = read.error().to_string();
      step.code = read.error().code;
    }
  }
  if (step.outcome.empty()) step.outcome = co_await interrupts_instead(*step.rung, site, **device);
  if (!step.outcome.empty()) {
    co_await (*device)->close();
    co_return nullptr;
  }
  step.state = LadderStep::State::works;
  co_return *std::move(device);
}

Task<Ladder> climb(const Site& site, Goal goal, const Registry& kinds) {
  Ladder ladder = judge(site, goal, kinds);
  for (std::size_t i = 0; i < ladder.steps.size(); ++i) {
    LadderStep& step = ladder.steps[i];
    if (step.state != LadderStep::State::untried) continue;
    const auto device = co_await try_step(step, site, kinds, {"readonly"});
    if (device == nullptr) continue;
    co_await device->close();
    ladder.chosen = std::min(ladder.chosen, i);
  }
  co_return ladder;
}

namespace {

struct AutoOptions {
  Goal goal = Goal::latency;
  bool read_only = false;
  bool in_use = false;
};

void describe(OptionSet& set, AutoOptions& options) {
  set.add("for", options.goal,
          {.names = {std::begin(goal_names), std::end(goal_names)}, .help = "what the device is wanted for"});
  set.add("readonly", options.read_only, {.help = "open for reading only"});
  set.add("in-use", options.in_use,
          {.help = "open a block device for writing although it is claimed (mounted, part of an array)"});
}

/// Of a simulated machine nothing is known but that it has what the simulator has.
Machine machine_of_this_shard() {
  if (Shard::current().backend().name() != std::string_view("simulated")) return Machine::here();
  const unsigned shards = Shard::current().mesh().shard_count();
  return {FileTree("/nowhere"), std::vector<UringFeature>(),
          *Topology::synthetic(fmt::format("core:{} pu:1", shards))};
}

Task<SpecResult<std::unique_ptr<Device>>> open_auto(const Spec& spec, const Registry& kinds) {
  const auto options = options_of<AutoOptions>(spec);
  if (!options) co_return std::unexpected(options.error());
  if (spec.target.empty()) co_return open_failed(spec, Errc::invalid, "takes a path");
  const Machine machine = machine_of_this_shard();
  auto site = co_await look_at(machine, spec.target, Shard::current().mesh().shard_count());
  if (!site) co_return open_failed(spec, site.error().code, site.error().message);

  Ladder ladder = judge(*site, options->goal, kinds);
  std::vector<std::string> further;
  if (options->read_only) further.emplace_back("readonly");
  if (options->in_use) further.emplace_back("in-use");
  for (std::size_t i = 0; i < ladder.steps.size(); ++i) {
    if (ladder.steps[i].state != LadderStep::State::untried) continue;
    auto device = co_await try_step(ladder.steps[i], *site, kinds, further);
    // Whoever has claimed it keeps every rung out, and each would ask again for a while.
    if (device == nullptr && ladder.steps[i].code == Errc::busy)
      co_return open_failed(spec, Errc::busy, ladder.steps[i].outcome);
    if (device == nullptr) continue;
    ladder.chosen = i;
    device->note(fmt::format("auto for {}: {} ({})", goal_names[static_cast<std::size_t>(options->goal)],
                             ladder.steps[i].rung->name, ladder.steps[i].spec));
    for (std::string& line : ladder.reasons()) device->note(std::move(line));
    co_return device;
  }
  const LadderStep& last = ladder.steps.back();  // the one that asks for least
  co_return open_failed(spec, last.code,
                        last.state == LadderStep::State::failed ? last.outcome : last.reason());
}

}  // namespace

DeviceKind auto_kind(const Registry& (*kinds)()) {
  return {.name = "auto",
          .target = "PATH",
          .help = "the fastest way to reach PATH that works here; the notes say why not a faster one",
          .describe = describe_as<AutoOptions>,
          .open = [kinds](const Spec& spec, DeviceKind::Children&) { return open_auto(spec, kinds()); }};
}

}  // namespace ashlar

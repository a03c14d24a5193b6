#include "ashlar/app/doctor.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "ashlar/base/units.h"
#include "ashlar/device/standard_registry.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar::app {
namespace {

using State = Finding::State;

constexpr std::size_t page_bytes = 4096;

/// What the tasks share. Outlives them.
struct Context {
  const DoctorOptions& options;
  const Machine& machine;
  unsigned shards;
  Diagnosis& diagnosis;
};

void measure_space(Place& place) {
  struct statvfs space{};
  if (::statvfs(place.path.c_str(), &space) != 0) return;
  place.free_bytes = static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
  place.total_bytes = static_cast<std::uint64_t>(space.f_blocks) * space.f_frsize;
}

Place place_of_directory(const Machine& machine, const std::string& canonical) {
  Place place{.path = canonical, .mount = {}, .device = {}};
  place.mount = mount_of(parse_mounts(machine.tree.text("/proc/self/mountinfo")), canonical);
  if (place.mount) place.device = block_device(machine.tree, block_device_name(machine.tree, *place.mount));
  measure_space(place);
  return place;
}

Place place_of(const Site& site) {
  Place place{.path = site.path, .mount = site.mount, .device = site.device};
  if (site.mount) measure_space(place);
  return place;
}

void append(std::vector<Finding>& findings, std::vector<Finding> more) {
  findings.insert(findings.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

struct Descriptor {
  int fd;
  explicit Descriptor(int number) : fd(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

/// The median of a few durable 4 KiB writes into blocks that were written before, as the log does them; 0 on
/// failure.
std::chrono::nanoseconds durable_write_time(int fd, const std::byte* page) {
  constexpr int rounds = 15;
  std::array<std::chrono::nanoseconds, rounds> times;
  const auto written = [&](int i) {
    return pwrite(fd, page, page_bytes, i * static_cast<off_t>(page_bytes)) ==
           static_cast<ssize_t>(page_bytes);
  };
  for (int i = 0; i < rounds; ++i)
    if (!written(i)) return {};
  if (fsync(fd) != 0) return {};
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    if (!written(i) || fdatasync(fd) != 0) return {};
    times[static_cast<std::size_t>(i)] = std::chrono::steady_clock::now() - start;
  }
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[rounds / 2];
}

Finding durable_write(const std::string& directory) {
  constexpr const char* subject = "durable 4KiB write";
  const std::unique_ptr<std::byte, decltype(&std::free)> page(
      static_cast<std::byte*>(std::aligned_alloc(page_bytes, page_bytes)), &std::free);
  std::memset(page.get(), 0, page_bytes);
  const int flags = O_TMPFILE | O_RDWR | O_CLOEXEC;
  const Descriptor direct(open(directory.c_str(), flags | O_DIRECT, 0600));
  const Descriptor buffered(direct.fd >= 0 ? -1 : open(directory.c_str(), flags, 0600));
  const int file = direct.fd >= 0 ? direct.fd : buffered.fd;
  if (file < 0)
    return {subject, State::better, fmt::format("not measured: {}", strerrordesc_np(errno)),
            "it takes an unnamed file (O_TMPFILE)", "measure in a directory of ext4, xfs or btrfs"};
  const auto time = durable_write_time(file, page.get());
  if (time.count() == 0)
    return {subject, State::problem, fmt::format("failed: {}", strerrordesc_np(errno)),
            "the log makes such writes", "dmesg | tail"};
  return {subject, State::ok,
          fmt::format("{}{}", approximate_duration(time), direct.fd >= 0 ? ", O_DIRECT" : ", buffered"), "",
          ""};
}

/// The data directory, or the nearest parent that exists: the server makes what is missing.
Examined examine_data_directory(const Machine& machine, const std::string& directory, bool measure) {
  Examined target{.name = directory + " (data directory)", .findings = {}, .ladder = {}};
  std::error_code error;
  std::filesystem::path place = std::filesystem::absolute(directory, error).lexically_normal();
  while (!std::filesystem::is_directory(place, error) && place.has_relative_path())
    place = place.parent_path();
  const std::string canonical = machine.tree.resolve(place.string());
  if (canonical.empty() || access(canonical.c_str(), W_OK | X_OK) != 0) {
    target.findings.push_back(
        {"data directory", State::problem, fmt::format("{}: {}", place.string(), strerrordesc_np(errno)),
         "the server writes there", fmt::format("chown {} {}", geteuid(), place.string())});
  } else {
    target.findings.push_back({"data directory", State::ok, canonical, "", ""});
  }
  if (canonical.empty()) return target;
  append(target.findings, examine_place(machine, place_of_directory(machine, canonical)));
  if (measure) target.findings.push_back(durable_write(canonical));
  return target;
}

Finding problem(const char* subject, const SpecError& error) {
  return {subject, State::problem, error.message, "",
          error.code == Errc::not_found ? "check the name: doctor creates nothing" : ""};
}

Task<Examined> examine_path(Context& context, std::string name, std::string path, Goal goal) {
  Examined target{.name = std::move(name), .findings = {}, .ladder = {}};
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    append(target.findings,
           examine_place(context.machine,
                         place_of_directory(context.machine, context.machine.tree.resolve(path))));
    target.findings.push_back(
        {"ladder", State::ok, "a directory: name a file or a device to see its ladder", "", ""});
    co_return target;
  }
  const auto site = co_await look_at(context.machine, std::move(path), context.shards);
  if (!site) {
    target.findings.push_back(problem("path", site.error()));
    co_return target;
  }
  target.findings.push_back(
      {"path", State::ok,
       fmt::format("{}, {}", to_string(site->traits.kind), approximate_bytes(site->traits.bytes)), "", ""});
  append(target.findings, examine_place(context.machine, place_of(*site)));
  target.ladder = co_await climb(*site, goal, standard_registry());
  co_return target;
}

/// The spec of a transport, so that opening it reads only, and makes nothing.
std::string for_reading(const Spec& spec) {
  OptionSet known;
  const auto bound_to = standard_registry().find(spec.kind)->describe(known);
  std::string text = fmt::format("{}:{}", spec.kind, quote_target(spec.target));
  char separator = '?';
  const auto add = [&](const std::string& option) { text += std::exchange(separator, '&') + option; };
  for (const SpecOption& option : spec.options) {
    constexpr std::array writes = {"create", "sparse", "sync", "readonly"};
    if (std::ranges::find(writes, option.name) == writes.end())
      add(option.name + "=" + quote_target(option.value));
  }
  if (known.find("readonly") != nullptr) add("readonly");
  return text;
}

Task<> examine_leaves(const Spec& spec, Examined& target) {
  for (const Spec& child : spec.children) co_await examine_leaves(child, target);
  if (spec.layer) co_return;
  auto device = co_await standard_registry().open(for_reading(spec));
  if (!device) {
    const bool made = std::ranges::find(spec.options, "create", &SpecOption::name) != spec.options.end();
    if (made && device.error().code == Errc::not_found) {
      target.findings.push_back({spec.text, State::ok, "is made when it is opened", "", ""});
    } else {
      target.findings.push_back(
          problem("device", {spec.text + ": " + device.error().message, 0, device.error().code}));
    }
    co_return;
  }
  const Geometry geometry = (*device)->geometry();
  target.findings.push_back(
      {"device", State::ok,
       fmt::format("{}: {} in blocks of {}", spec.text, approximate_bytes(geometry.bytes()),
                   format_bytes(geometry.block_bytes)),
       "", ""});
  const std::string doctor = "ashlar doctor " + spec.target;
  for (const std::string& note : (*device)->notes()) {
    if (spec.kind != "auto")
      target.findings.push_back(
          {"device", State::better, note, "it works in another way than was asked for", doctor});
    else if (note.starts_with("auto for"))
      target.findings.push_back({"device", State::ok, note + "; why not a faster one: " + doctor, "", ""});
  }
  co_await (*device)->close();
}

Task<Examined> examine_spec(Context& context, std::string text) {
  const auto spec = standard_registry().parse(text);
  if (!spec) {
    Examined target{.name = text, .findings = {}, .ladder = {}};
    target.findings.push_back({"spec", State::problem,
                               fmt::format("{} (at character {})", spec.error().message, spec.error().at + 1),
                               "", "ashlar devices"});
    co_return target;
  }
  if (spec->kind == "auto") {
    Goal goal = context.options.goal;
    OptionSet set;
    set.add("for", goal, {.names = {std::begin(goal_names), std::end(goal_names)}});
    for (const SpecOption& option : spec->options)
      if (option.name == "for") (void)set.set("for", option.value);
    co_return co_await examine_path(context, std::move(text), spec->target, goal);
  }
  Examined target{.name = std::move(text), .findings = {}, .ladder = {}};
  co_await examine_leaves(*spec, target);
  if (spec->layer)
    target.findings.push_back(
        {"layers", State::ok, "the spec is right; layers are not opened, for they may write", "", ""});
  co_return target;
}

/// A path where something of that name exists, or where it looks like one; else a spec.
bool is_path(const std::string& target) {
  std::error_code error;
  return target.starts_with('/') || target.starts_with('.') || target.find_first_of(":(") == target.npos ||
         std::filesystem::exists(std::filesystem::symlink_status(target, error));
}

Task<Result<>> examine(Context* context) {
  std::vector<Examined>& targets = context->diagnosis.targets;
  for (const std::string& target : context->options.targets)
    targets.push_back(is_path(target) ? co_await examine_path(*context, target, target, context->options.goal)
                                      : co_await examine_spec(*context, target));
  co_return Result<>();
}

/// On one shard, with the back end that a server would have.
Result<> examine_targets(const DoctorOptions& options, const Settings& settings, const Machine& machine,
                         unsigned shards, Diagnosis& diagnosis) {
  RuntimeOptions one_shard = settings.runtime;
  one_shard.shards = 1;
  one_shard.pin = false;
  Runtime runtime(one_shard);
  Context context{options, machine, shards, diagnosis};
  return runtime.run([&](Shard&) { return examine(&context); });
}

}  // namespace

int run_doctor(const DoctorOptions& options, const Settings& settings, const std::string& data_directory) {
  const Machine machine = Machine::here();
  const unsigned shards =
      settings.runtime.shards != 0 ? settings.runtime.shards : machine.topology.shards_suggested();
  Diagnosis diagnosis{
      .machine = examine_machine(machine, shards), .uring = examine_uring(machine), .targets = {}};
  if (options.targets.empty()) {
    diagnosis.targets.push_back(examine_data_directory(machine, data_directory, options.measure));
  } else if (const Result<> done = examine_targets(options, settings, machine, shards, diagnosis); !done) {
    fmt::print(stderr, "ashlar: {}\n", done.error().to_string());
    return 1;
  }
  const std::string report = options.json ? report_json(diagnosis) : report_text(diagnosis);
  std::fwrite(report.data(), 1, report.size(), stdout);
  return diagnosis.works() ? 0 : 1;
}

}  // namespace ashlar::app

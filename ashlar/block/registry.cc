#include "ashlar/block/registry.h"

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/units.h"

namespace ashlar {

namespace {

std::unexpected<SpecError> wrong(std::string message, std::size_t at) {
  return std::unexpected(SpecError{std::move(message), at});
}

constexpr std::uint64_t size_max = std::uint64_t{1} << 60;

Task<> close_all(DeviceKind::Children& devices) {
  for (auto& device : devices) {
    if (device != nullptr) co_await device->close();
  }
}

}  // namespace

std::unexpected<SpecError> open_failed(const Spec& spec, Errc code, std::string message) {
  return std::unexpected(SpecError{std::move(message), spec.layer ? spec.at : spec.target_at, code});
}

std::unexpected<SpecError> open_failed(const Spec& spec, const Error& error) {
  return open_failed(spec, error.code, error.to_string());
}

SpecResult<void> read_options(const Spec& spec, OptionSet& set) {
  for (const SpecOption& option : spec.options) {
    if (set.find(option.name) == nullptr) {
      const Option* const meant = set.nearest(option.name);
      std::string hint =
          meant == nullptr ? std::string() : fmt::format("; did you mean '{}'?", meant->name());
      return wrong(fmt::format("{} has no option '{}'{}", spec.kind, option.name, hint), option.at);
    }
    if (auto set_to = set.set(option.name, option.value); !set_to)
      return wrong(set_to.error(), option.value_at);
  }
  return {};
}

NumberSpec block_size_option() {
  return {.unit = Unit::bytes,
          .min = 512,
          .max = 64_KiB,
          .multiple_of = 512,
          .help = "unit of addresses and lengths, a power of two"};
}

SpecResult<std::uint64_t> size_of_target(const Spec& spec, std::uint32_t block_bytes) {
  if (!std::has_single_bit(block_bytes)) return wrong("block: a power of two", spec.at);
  const auto size = parse_bytes(spec.target);
  if (!size) return wrong(fmt::format("{}: takes a size, such as 1GiB", spec.kind), spec.target_at);
  if (*size == 0 || *size % block_bytes != 0)
    return wrong(fmt::format("a size of whole blocks of {}", format_bytes(block_bytes)), spec.target_at);
  if (*size > size_max) return wrong(fmt::format("at most {}", format_bytes(size_max)), spec.target_at);
  return *size;
}

void Registry::add(DeviceKind kind) {
  if (find(kind.name) != nullptr) {
    std::fprintf(stderr, "device kind '%s' is registered twice\n", kind.name);
    std::abort();
  }
  kinds_.push_back(std::move(kind));
}

const DeviceKind* Registry::find(std::string_view name) const noexcept {
  for (const DeviceKind& kind : kinds_) {
    if (name == kind.name) return &kind;
  }
  return nullptr;
}

SpecResult<void> Registry::check(const Spec& spec) const {
  const DeviceKind* const kind = find(spec.kind);
  if (kind == nullptr) {
    std::string known;
    for (const DeviceKind& other : kinds_)
      known += fmt::format("{}{}", known.empty() ? "" : ", ", other.name);
    return wrong(fmt::format("no kind of device is called '{}'; there are {}", spec.kind, known), spec.at);
  }
  const bool layer = kind->children_max != 0;
  if (layer != spec.layer)
    return wrong(layer ? fmt::format("'{0}' is a layer: {0}(DEVICE)", spec.kind)
                       : fmt::format("'{0}' is a transport: {0}:{1}", spec.kind, kind->target),
                 spec.at);
  if (layer && (spec.children.size() < kind->children_min || spec.children.size() > kind->children_max))
    return wrong(kind->children_min == kind->children_max
                     ? fmt::format("'{}' is made of {} device{}, not of {}", spec.kind, kind->children_min,
                                   kind->children_min == 1 ? "" : "s", spec.children.size())
                     : fmt::format("'{}' is made of {} to {} devices, not of {}", spec.kind,
                                   kind->children_min, kind->children_max, spec.children.size()),
                 spec.at);
  OptionSet options;
  const auto bound_to = kind->describe(options);
  if (auto read = read_options(spec, options); !read) return read;
  for (const Spec& child : spec.children) {
    if (auto checked = check(child); !checked) return checked;
  }
  return {};
}

SpecResult<Spec> Registry::parse(std::string_view text) const {
  auto spec = parse_spec(text);
  if (!spec) return spec;
  if (auto checked = check(*spec); !checked) return std::unexpected(checked.error());
  return spec;
}

Task<SpecResult<std::unique_ptr<Device>>> Registry::open(std::string text) const {
  auto spec = parse(text);
  if (!spec) co_return std::unexpected(spec.error());
  co_return co_await open(*spec);
}

Task<SpecResult<std::unique_ptr<Device>>> Registry::open(const Spec& spec) const {
  DeviceKind::Children children;
  for (const Spec& child : spec.children) {
    auto opened = co_await open(child);
    if (!opened) {
      co_await close_all(children);
      co_return opened;
    }
    children.push_back(*std::move(opened));
  }
  auto device = co_await find(spec.kind)->open(spec, children);
  if (!device) co_await close_all(children);
  co_return device;
}

}  // namespace ashlar

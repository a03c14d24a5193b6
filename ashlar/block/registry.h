#pragma once

/// The kinds of device that this build has, and how spec strings become devices.
///
///   Registry registry;
///   add_null(registry);
///   auto device = co_await registry.open("raid1(uring:/a,uring:/b)");
///   if (!device) log(device.error().show(spec));

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/options.h"
#include "ashlar/block/device.h"
#include "ashlar/block/spec.h"

namespace ashlar {

/// One kind of device. The strings are static.
struct DeviceKind {
  using Children = std::vector<std::unique_ptr<Device>>;

  const char* name = "";    ///< "uring"
  const char* target = "";  ///< what follows the colon, as in help: "PATH"; empty for layers
  const char* help = "";    ///< one line
  unsigned children_min = 0, children_max = 0;  ///< 0: a transport

  /// Declares the kind's options with their defaults, for checking, help and documentation; returns what the
  /// set is bound to. Mostly describe_as<Options>.
  std::shared_ptr<void> (*describe)(OptionSet&) = [](OptionSet&) { return std::shared_ptr<void>(); };

  /// Opens one on the current shard. `spec`'s options are checked: each is known and within its bounds. The
  /// children are open; on an error they are closed by the caller, unless they were moved from.
  std::function<Task<SpecResult<std::unique_ptr<Device>>>(const Spec& spec, Children& children)> open;
};

/// Not thread-safe while kinds are added; then read-only, and any shard may open devices through it.
class Registry {
 public:
  /// Adding a name twice is a mistake in the program: it ends with a message.
  void add(DeviceKind kind);
  const DeviceKind* find(std::string_view name) const noexcept;
  std::span<const DeviceKind> kinds() const noexcept { return kinds_; }  ///< in the order they were added

  /// Parses, and checks everything that can be checked without touching a device: kinds, children, options.
  SpecResult<Spec> parse(std::string_view text) const;

  /// Parses, then opens from the inside out. Where a device fails, those opened before are closed again.
  /// `text` is copied.
  Task<SpecResult<std::unique_ptr<Device>>> open(std::string text) const;

 private:
  SpecResult<void> check(const Spec& spec) const;
  Task<SpecResult<std::unique_ptr<Device>>> open(const Spec& spec) const;

  std::vector<DeviceKind> kinds_;
};

/// Sets the options of `spec` in `set`, which describes its kind; the error points at the option.
SpecResult<void> read_options(const Spec& spec, OptionSet& set);

/// For a struct of options that `void describe(OptionSet&, Options&)` declares:
template <class Options>
std::shared_ptr<void> describe_as(OptionSet& set) {
  auto options = std::make_shared<Options>();
  describe(set, *options);
  return options;
}
template <class Options>
SpecResult<Options> options_of(const Spec& spec) {
  Options options;
  OptionSet set;
  describe(set, options);
  if (auto read = read_options(spec, set); !read) return std::unexpected(read.error());
  return options;
}

// Parts that kinds share.

/// Of ?block=: from 512 B to 64 KiB.
NumberSpec block_size_option();
/// The target as a size of whole blocks, which are checked too: a power of two.
SpecResult<std::uint64_t> size_of_target(const Spec& spec, std::uint32_t block_bytes);

/// `error`, as the reason why `spec` could not be opened.
std::unexpected<SpecError> open_failed(const Spec& spec, const Error& error);
std::unexpected<SpecError> open_failed(const Spec& spec, Errc code, std::string message);

}  // namespace ashlar

#include "ashlar/transport/null/null_device.h"

#include <memory>

#include "ashlar/base/units.h"

namespace ashlar {

namespace {

struct NullOptions {
  std::uint32_t block_bytes = 512;
};

void describe(OptionSet& set, NullOptions& options) {
  set.add("block", options.block_bytes, block_size_option());
}

class NullChannel final : public Channel {
 public:
  using Channel::Channel;
  void start(Request& request) noexcept override { finish(request, {}); }
};

class NullDevice final : public Device {
 public:
  using Device::Device;

 private:
  Task<Result<std::unique_ptr<Channel>>> open_channel() override {
    co_return std::make_unique<NullChannel>(*this);
  }
};

Task<SpecResult<std::unique_ptr<Device>>> open_null(const Spec& spec, DeviceKind::Children&) {
  const auto options = options_of<NullOptions>(spec);
  if (!options) co_return std::unexpected(options.error());
  const auto size = size_of_target(spec, options->block_bytes);
  if (!size) co_return std::unexpected(size.error());
  co_return std::make_unique<NullDevice>(spec.text, Geometry{.block_bytes = options->block_bytes,
                                                             .blocks = *size / options->block_bytes,
                                                             .physical_block_bytes = options->block_bytes,
                                                             .write_cache = false,
                                                             .fua = true,
                                                             .trim = true,
                                                             .write_zeroes = true});
}

}  // namespace

DeviceKind null_kind() {
  return {.name = "null",
          .target = "SIZE",
          .help = "completes at once and stores nothing",
          .describe = describe_as<NullOptions>,
          .open = open_null};
}

}  // namespace ashlar

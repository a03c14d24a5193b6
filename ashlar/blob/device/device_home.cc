#include "ashlar/blob/device/device_home.h"

#include <fmt/format.h>

#include <utility>

#include "ashlar/blob/device/blob_device.h"

namespace ashlar::blob {

namespace {

constexpr VolumeNumber root_volume = 1, first_partition = 2;

class DeviceHome final : public Home {
 public:
  DeviceHome(std::unique_ptr<Device> device, std::uint64_t reserve_bytes)
      : device_(std::move(device)),
        reserve_bytes_(reserve_bytes),
        name_(fmt::format("blob({})", device_->spec())) {}

  const std::string& name() const noexcept override { return name_; }
  std::string partition_name(std::uint32_t partition) const override {
    return fmt::format("{} volume {}", name_, first_partition + partition);
  }
  Task<Result<std::unique_ptr<Store>>> open_root() override {
    CO_TRY(co_await device_->claim());
    blobs_ = CO_TRY(co_await BlobDevice::open(*device_));
    co_return co_await blobs_->open_volume(root_volume, {.reserve_bytes = 0, .create = true});
  }
  Task<Result<>> prepare_partition(std::uint32_t partition) override {
    const auto made = CO_TRY(
        co_await blobs_->open_volume(first_partition + partition, {.reserve_bytes = 0, .create = true}));
    co_return co_await made->close();
  }
  Task<Result<std::unique_ptr<Store>>> open_partition(std::uint32_t partition) override {
    co_return co_await blobs_->open_volume(first_partition + partition, {.reserve_bytes = reserve_bytes_});
  }
  Task<> close() override { co_await device_->close(); }

 private:
  std::unique_ptr<Device> device_;
  const std::uint64_t reserve_bytes_;
  const std::string name_;
  std::unique_ptr<BlobDevice> blobs_;
};

}  // namespace

std::unique_ptr<Home> device_home(std::unique_ptr<Device> device, std::uint64_t reserve_bytes) {
  return std::make_unique<DeviceHome>(std::move(device), reserve_bytes);
}

}  // namespace ashlar::blob

#pragma once

/// Roots as files, replaced by rename. Format: docs/formats/blob-directory.md, "Root".

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/blob/directory/reserve.h"
#include "ashlar/blob/store.h"

namespace ashlar::blob {

/// What is in a root's file.
struct RootImage {
  std::uint64_t generation = 0;
  std::vector<std::byte> payload;
};
/// Size of the file for a payload of so many bytes: whole blocks.
std::size_t root_image_bytes(std::size_t payload_bytes) noexcept;
/// Fills `image`, root_image_bytes() of it.
void encode_root(std::uint32_t number, std::uint64_t generation, Bytes payload, MutableBytes image) noexcept;
/// corrupt, with number and offset, where it does not validate.
Result<RootImage> decode_root(std::uint32_t number, Bytes file);

/// Owner: one store. See Store::read_root() and write_root().
class Roots {
 public:
  Roots(const std::string& directory, Reserve& reserve) : directory_(directory), reserve_(reserve) {}

  Task<Result<std::optional<std::vector<std::byte>>>> read(std::uint32_t number);
  Task<Result<>> write(std::uint32_t number, Bytes payload);

 private:
  struct State {
    std::uint64_t generation = 0;
    bool unknown = false;  // which of two is current: a sync of the directory failed
  };
  Task<Result<std::optional<RootImage>>> load(std::uint32_t number);
  Task<Result<>> write_new(std::uint32_t number, Bytes image);
  Task<Result<>> fill(std::string path, std::uint32_t number, Bytes image);

  const std::string& directory_;
  Reserve& reserve_;
  std::map<std::uint32_t, State> states_;  // of roots that were read or written
};

}  // namespace ashlar::blob

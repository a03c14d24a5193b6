#include "ashlar/blob/directory/roots.h"

#include <cstring>
#include <utility>

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/blob/directory/file_name.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/shard/shard.h"

namespace ashlar::blob {
namespace {

constexpr std::size_t header_bytes = 32;
constexpr std::uint32_t magic = 'A' | 'R' << 8 | 't' << 16 | '1' << 24;

std::uint32_t checksum(std::uint32_t number, Bytes rest) noexcept {
  std::byte prefix[8];
  store_le(prefix, std::uint64_t{number});
  return crc32c(rest, crc32c(prefix));
}

}  // namespace

std::size_t root_image_bytes(std::size_t payload_bytes) noexcept {
  return align_up(header_bytes + payload_bytes);
}

void encode_root(std::uint32_t number, std::uint64_t generation, Bytes payload, MutableBytes image) noexcept {
  std::byte* at = image.data();
  std::memset(at, 0, image.size());
  store_le(at + 4, magic);
  store_le(at + 8, generation);
  store_le(at + 16, std::uint64_t{payload.size()});
  if (!payload.empty()) std::memcpy(at + header_bytes, payload.data(), payload.size());
  store_le(at, checksum(number, {at + 4, header_bytes - 4 + payload.size()}));
}

Result<RootImage> decode_root(std::uint32_t number, Bytes file) {
  if (file.size() < header_bytes) return fail(Errc::corrupt, "root: cut short", {number, file.size()});
  const std::byte* at = file.data();
  const auto size = load_le<std::uint64_t>(at + 16);
  if (size > root_bytes_max || size > file.size() - header_bytes) {
    return fail(Errc::corrupt, "root: size", {number, 16});
  }
  const Bytes covered = file.subspan(4, header_bytes - 4 + size);
  if (load_le<std::uint32_t>(at) != checksum(number, covered))
    return fail(Errc::corrupt, "root: checksum", {number, 0});
  if (load_le<std::uint32_t>(at + 4) != magic) return fail(Errc::unsupported, "root: format", {number, 4});
  if (load_le<std::uint64_t>(at + 24) != 0) return fail(Errc::unsupported, "root: format", {number, 24});
  const Bytes payload = file.subspan(header_bytes, size);
  return RootImage{load_le<std::uint64_t>(at + 8), {payload.begin(), payload.end()}};
}

Task<Result<std::optional<std::vector<std::byte>>>> Roots::read(std::uint32_t number) {
  if (states_[number].unknown) co_return fail(Errc::stopped, "root", {.object = number});
  auto image = CO_TRY(co_await load(number));
  if (!image) co_return std::nullopt;
  states_[number].generation = image->generation;
  co_return std::move(image->payload);
}

Task<Result<std::optional<RootImage>>> Roots::load(std::uint32_t number) {
  Result<File> opened = co_await File::open(directory_ + '/' + root_file_name(number), O_RDONLY, 0, number);
  if (!opened && opened.error().code == Errc::not_found) co_return std::nullopt;
  const File file = CO_TRY(std::move(opened));
  const std::uint64_t bytes = CO_TRY(file.bytes());
  if (bytes > align_up(header_bytes + root_bytes_max))
    co_return fail(Errc::corrupt, "root: size", {number, bytes});
  const IoBuffer buffer = CO_TRY(Shard::current().buffers().allocate_regardless(bytes));
  const std::size_t got = CO_TRY(co_await file.read(buffer.bytes(), 0));
  co_return CO_TRY(decode_root(number, Bytes(buffer.bytes()).first(got)));
}

Task<Result<>> Roots::write(std::uint32_t number, Bytes payload) {
  if (payload.size() > root_bytes_max) co_return fail(Errc::too_large, "root", {.object = number});
  if (states_[number].generation == 0) CO_TRY(co_await read(number));
  if (states_[number].unknown) co_return fail(Errc::stopped, "root", {.object = number});
  const std::uint64_t generation = states_[number].generation + 1;
  const IoBuffer image =
      CO_TRY(Shard::current().buffers().allocate_regardless(root_image_bytes(payload.size())));
  encode_root(number, generation, payload, image.bytes());

  const std::string current = directory_ + '/' + root_file_name(number);
  const std::string next = directory_ + '/' + new_root_file_name(number);
  CO_TRY(co_await write_new(number, image.bytes()));
  CO_TRY(co_await rename_file(next, current));
  const Result<> synced = co_await sync_directory(directory_);
  if (!synced) {
    states_[number].unknown = true;
    co_return synced;
  }
  states_[number].generation = generation;
  co_return Result<>();
}

Task<Result<>> Roots::write_new(std::uint32_t number, Bytes image) {
  const std::string path = directory_ + '/' + new_root_file_name(number);
  Result<> filled = co_await fill(path, number, image);
  if (!filled && filled.error().code == Errc::no_space) {
    co_await reserve_.give_up(image.size());
    filled = co_await fill(path, number, image);
  }
  if (!filled) (void)co_await unlink_file(path);
  co_return filled;
}

Task<Result<>> Roots::fill(std::string path, std::uint32_t number, Bytes image) {
  File file = CO_TRY(co_await File::open(path, O_RDWR | O_CREAT | O_TRUNC, 0644, number));
  CO_TRY(co_await file.write(image, 0));
  CO_TRY(co_await file.sync());
  co_return co_await file.close();
}

}  // namespace ashlar::blob

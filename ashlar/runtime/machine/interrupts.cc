#include "ashlar/runtime/machine/interrupts.h"

#include <algorithm>
#include <cctype>

namespace ashlar {

namespace {

constexpr std::uint64_t ios_min = 16;

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; });
}

/// What the names of the disk's interrupts begin with, before the queue's number; empty where that is not
/// known. Queue 0 of NVMe is the controller's own.
std::string prefix_of(const FileTree& tree, const BlockDevice& disk) {
  if (const auto controller = nvme_controller(tree, disk)) return controller->name + "q";
  if (disk.driver != "virtio_blk") return {};
  return base_name(tree.resolve(disk.directory + "/device")) + "-req.";
}

/// "27:  0  1034  PCI-MSIX-0000:01:00.0  1-edge  nvme0q1": the sum of a line's counts; its name is the last
/// word.
std::optional<std::uint64_t> count_of(std::string_view line, std::string_view prefix) {
  const auto parts = words(line);
  if (parts.size() < 3 || !parts.back().starts_with(prefix)) return std::nullopt;
  const std::string_view queue = parts.back().substr(prefix.size());
  if (!all_digits(queue) || (prefix.starts_with("nvme") && queue == "0")) return std::nullopt;
  std::uint64_t sum = 0;
  for (std::size_t i = 1; i < parts.size() && all_digits(parts[i]); ++i)
    sum += leading_number(parts[i]).value_or(0);
  return sum;
}

}  // namespace

std::optional<std::uint64_t> interrupts_of(const FileTree& tree, const BlockDevice& disk) {
  const std::string prefix = prefix_of(tree, disk);
  if (prefix.empty()) return std::nullopt;
  const std::string text = tree.text("/proc/interrupts");
  std::optional<std::uint64_t> sum;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (const auto count = count_of(rest.substr(0, end), prefix)) sum = sum.value_or(0) + *count;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return sum;
}

std::optional<bool> polled(std::optional<std::uint64_t> before, std::optional<std::uint64_t> after,
                           std::uint64_t ios) noexcept {
  if (!before || !after || *after < *before || ios < ios_min) return std::nullopt;
  return *after - *before < ios / 2;
}

}  // namespace ashlar

#include "bench/kv/data.h"

#include <sys/stat.h>

#include <array>
#include <filesystem>

namespace ashlar::bench {

namespace {

struct Shelf {
  std::string name;
  DataSet set;
};

std::array<Shelf, 2>& shelves() {
  static std::array<Shelf, 2> both;
  return both;
}

}  // namespace

Result<DataSet> data_set(unsigned shelf, const std::string& parent, const std::string& name,
                         const std::function<Result<>(const std::string&)>& load) {
  Shelf& kept = shelves()[shelf];
  if (kept.set != nullptr && kept.name == name) return kept.set;
  kept = {};  // goes first, for its space
  auto made = std::make_shared<const ScratchDirectory>(parent);
  TRY(load(made->path()));
  kept = {name, made};
  return made;
}

void forget_data_sets() {
  shelves() = {};
}

std::uint64_t allocated_bytes(const std::string& directory) {
  std::uint64_t bytes = 0;
  std::error_code gone;  // files come and go while one looks
  for (auto at = std::filesystem::recursive_directory_iterator(directory, gone);
       at != std::filesystem::recursive_directory_iterator(); at.increment(gone)) {
    struct stat file{};
    if (::lstat(at->path().c_str(), &file) == 0 && S_ISREG(file.st_mode))
      bytes += static_cast<std::uint64_t>(file.st_blocks) * 512;
    if (gone) break;
  }
  return bytes;
}

}  // namespace ashlar::bench

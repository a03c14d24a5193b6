#pragma once

/// The file or block device under measurement.

#include <cstdint>
#include <string>

#include "ashlar/base/result.h"
#include "bench/block/way.h"

namespace ashlar::bench::block {

/// A file that it made is removed with it.
class TargetFile {
 public:
  /// A missing file is made, of `bytes`, with random data. What exists is read only, unless `destroy`.
  static Result<TargetFile> open(const std::string& path, std::uint64_t bytes, bool destroy);
  TargetFile(TargetFile&& other) noexcept;
  TargetFile& operator=(TargetFile&&) = delete;
  ~TargetFile();

  const Target& target() const noexcept { return target_; }
  /// "file, made", "block device": for the report.
  const std::string& what() const noexcept { return what_; }

  /// Brings all of it into the page cache, or writes it back and out of there.
  void into_page_cache() const;
  void out_of_page_cache() const;

 private:
  TargetFile() = default;
  Target target_;
  std::string what_;
  bool made_ = false;
};

}  // namespace ashlar::bench::block

#pragma once

/// Text files that commands read and write, or the standard streams. Blocking: for programs that do nothing
/// else.

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "ashlar/base/bytes.h"
#include "ashlar/base/result.h"

namespace ashlar::app {

/// Lifecycle: finish() once; without it, what there is of a file is removed.
class OutputFile {
 public:
  /// Empty: standard output. `exists` where there is a file already.
  static Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&&) noexcept = default;
  ~OutputFile();

  Result<> write(std::string_view text);
  Result<> finish();

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept {
      if (file != stdout) std::fclose(file);
    }
  };
  OutputFile(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

class InputFile {
 public:
  /// "-": standard input.
  static Result<InputFile> open(const std::string& path);
  /// 0: the end.
  Result<std::size_t> read(MutableBytes into);

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept {
      if (file != stdin) std::fclose(file);
    }
  };
  explicit InputFile(std::FILE* file) : file_(file) {}

  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace ashlar::app

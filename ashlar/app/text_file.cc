#include "ashlar/app/text_file.h"

#include <cerrno>

namespace ashlar::app {

Result<OutputFile> OutputFile::create(const std::string& path) {
  if (path.empty()) return OutputFile(path, stdout);
  std::FILE* const file = std::fopen(path.c_str(), "wbx");
  if (file == nullptr) return fail_errno(errno, "open");
  return OutputFile(path, file);
}

OutputFile::~OutputFile() {
  if (file_ != nullptr && file_.get() != stdout) std::remove(path_.c_str());
}

Result<> OutputFile::write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size()) return fail_errno(errno, "write");
  return {};
}

Result<> OutputFile::finish() {
  if (std::fflush(file_.get()) != 0) return fail_errno(errno, "write");
  if (file_.get() == stdout) return {};
  if (std::fclose(file_.release()) != 0) {
    const int number = errno;
    std::remove(path_.c_str());
    return fail_errno(number, "write");
  }
  return {};
}

Result<InputFile> InputFile::open(const std::string& path) {
  if (path == "-") return InputFile(stdin);
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return fail_errno(errno, "open");
  return InputFile(file);
}

Result<std::size_t> InputFile::read(MutableBytes into) {
  const std::size_t got = std::fread(into.data(), 1, into.size(), file_.get());
  if (got == 0 && std::ferror(file_.get()) != 0) return fail_errno(errno, "read");
  return got;
}

}  // namespace ashlar::app

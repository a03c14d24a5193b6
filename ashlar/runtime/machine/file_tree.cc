#include "ashlar/runtime/machine/file_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace ashlar {

std::string FileTree::text(std::string_view path) const {
  constexpr std::size_t bytes_max = std::size_t{1} << 20;
  std::string content;
  const int fd = ::open(under_root(path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return content;
  for (char piece[4096]; content.size() < bytes_max;) {
    const ssize_t bytes = ::read(fd, piece, sizeof piece);
    if (bytes <= 0) break;
    content.append(piece, static_cast<std::size_t>(bytes));
  }
  ::close(fd);
  return content;
}

std::string FileTree::line(std::string_view path) const {
  std::string content = text(path);
  content.resize(std::min(content.find('\n'), content.size()));
  return content;
}

std::optional<std::uint64_t> FileTree::number(std::string_view path) const {
  return leading_number(line(path));
}

bool FileTree::exists(std::string_view path) const {
  return ::access(under_root(path).c_str(), F_OK) == 0;
}

std::vector<std::string> FileTree::list(std::string_view directory) const {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(under_root(directory).c_str()), &::closedir);
  if (stream == nullptr) return names;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::string FileTree::resolve(std::string_view path) const {
  const auto real = [](const std::string& of) {
    const std::unique_ptr<char, decltype(&::free)> resolved(::realpath(of.c_str(), nullptr), &::free);
    return resolved == nullptr ? std::string() : std::string(resolved.get());
  };
  std::string resolved = real(under_root(path));
  if (root_.empty()) return resolved;
  const std::string top = real(root_);
  return resolved.starts_with(top) ? resolved.substr(top.size()) : std::string();
}

std::string_view field(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
    line.remove_prefix(name.size() + 1);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    return line;
  }
  return {};
}

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> found;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t\n"), line.size()));
    if (line.empty()) return found;
    const std::size_t end = std::min(line.find_first_of(" \t\n"), line.size());
    found.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

std::string bracketed(const std::string& line) {
  const std::size_t open = line.find('['), close = line.find(']');
  return open == line.npos || close == line.npos || close < open ? line
                                                                 : line.substr(open + 1, close - open - 1);
}

std::string base_name(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

}  // namespace ashlar

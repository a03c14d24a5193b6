#pragma once

/// What the kernel says in /proc and /sys, read from this machine or from a copy of those trees.

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ashlar {

/// Files below a root. Paths are absolute, as on the machine that is looked at. What is missing or may not be
/// read is empty, never an error: kernels differ in what they show. Immutable; any thread. Reads are short,
/// but block: for set-up and for people who ask, not for a loop under load.
class FileTree {
 public:
  /// `root` stands before every path; empty for this machine. Symbolic links below it are relative.
  explicit FileTree(std::string root = {}) : root_(std::move(root)) {}

  /// The whole file, at most 1 MiB of it.
  std::string text(std::string_view path) const;
  /// Its first line, without the newline.
  std::string line(std::string_view path) const;
  std::optional<std::uint64_t> number(std::string_view path) const;
  bool exists(std::string_view path) const;
  /// Names in a directory, without dots, sorted.
  std::vector<std::string> list(std::string_view directory) const;
  /// The path without symbolic links; empty where it leads nowhere, or out of the tree.
  std::string resolve(std::string_view path) const;

 private:
  std::string under_root(std::string_view path) const { return root_ + std::string(path); }

  std::string root_;
};

// Forms that recur in these trees.

/// The first number of `text`, after blanks.
template <class Number = std::uint64_t>
std::optional<Number> leading_number(std::string_view text, int base = 10) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return std::nullopt;
  Number value{};
  const auto [end, error] = std::from_chars(text.data() + begin, text.data() + text.size(), value, base);
  if (error != std::errc{}) return std::nullopt;
  return value;
}
/// "MemTotal:  24684084 kB": what follows "NAME:" at the start of a line, trimmed.
std::string_view field(std::string_view text, std::string_view name);
/// The words of a line.
std::vector<std::string_view> words(std::string_view line);
/// "mq-deadline [none]": the word in brackets, or the whole line where there is none.
std::string bracketed(const std::string& line);
/// The last part of a path.
std::string base_name(std::string_view path);

}  // namespace ashlar

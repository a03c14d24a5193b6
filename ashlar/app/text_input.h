#pragma once

/// A file as characters, with line and column.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ashlar/app/record_format.h"

namespace ashlar::app {

class TextInput {
 public:
  explicit TextInput(ReadBytes read) : read_(std::move(read)), buffer_(buffer_bytes, std::byte{0}) {}

  /// The next byte, or nothing at the end or after an error().
  std::optional<char> peek() {
    if (at_ == end_ && !fill()) return std::nullopt;
    return static_cast<char>(buffer_[at_]);
  }
  /// After peek() had one.
  void skip() noexcept {
    if (static_cast<char>(buffer_[at_++]) == '\n') {
      ++line_;
      column_ = 1;
    } else {
      ++column_;
    }
  }
  std::uint64_t line() const noexcept { return line_; }
  std::uint64_t column() const noexcept { return column_; }
  const std::optional<Error>& error() const noexcept { return error_; }

  BadRecord bad(std::string why) const {
    if (error_) return {.line = 0, .column = 0, .why = error_->to_string()};
    return {.line = line_, .column = column_, .why = std::move(why)};
  }

 private:
  static constexpr std::size_t buffer_bytes = 256u << 10;

  bool fill() {
    if (ended_) return false;
    const auto got = read_(buffer_);
    if (!got) error_ = got.error();
    at_ = 0;
    end_ = got ? *got : 0;
    ended_ = end_ == 0;
    return !ended_;
  }

  ReadBytes read_;
  std::vector<std::byte> buffer_;
  std::size_t at_ = 0, end_ = 0;
  std::uint64_t line_ = 1, column_ = 1;
  bool ended_ = false;
  std::optional<Error> error_;
};

std::unique_ptr<RecordReader> read_csv(ReadBytes read);
std::unique_ptr<RecordReader> read_json_lines(ReadBytes read);
void append_csv(std::string& to, const Record& record);
void append_json_line(std::string& to, const Record& record);

}  // namespace ashlar::app

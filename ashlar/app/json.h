#pragma once

/// JSON as commands print it.
///
///   Json report = {{"data", name}, {"tables", 12u}, {"damages", Json::array()}};
///   report["damages"].push_back({{"part", "table"}});
///   fmt::print("{}", report.text());

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ashlar/base/error.h"

namespace ashlar::app {

/// A value; members of an object stay in the order they were given in. Text that is no UTF-8 is printed with
/// replacement characters, because a path may hold any bytes.
class Json {
 public:
  struct Member;

  Json() noexcept = default;  ///< null
  Json(bool value) noexcept : value_(value) {}
  template <std::unsigned_integral Number>
    requires(!std::same_as<Number, bool>)
  Json(Number value) noexcept : value_(std::uint64_t{value}) {}
  Json(const char* text) : value_(std::string(text)) {}
  Json(std::string text) : value_(std::move(text)) {}
  Json(std::initializer_list<Member> members);
  Json(const std::vector<std::string>& list);
  static Json array();

  void push_back(Json item);
  /// Of an object, or null, which becomes one; made where it is missing.
  Json& operator[](std::string_view name);
  /// Of an object.
  const std::vector<std::string>& names() const { return std::get<Object>(value_).names; }
  const Json& at(std::size_t member) const { return std::get<Object>(value_).values[member]; }

  /// On one line.
  std::string line() const;
  /// Indented, with a line end.
  std::string text() const;
  /// For people: text as it is, all else as line().
  std::string plain() const;

 private:
  using Array = std::vector<Json>;
  struct Object {
    std::vector<std::string> names;
    std::vector<Json> values;
  };

  void append(std::string& to, int depth) const;

  std::variant<std::monostate, bool, std::uint64_t, std::string, Array, Object> value_;
};

struct Json::Member {
  std::string name;
  Json value;
};

/// Code, message, object and offset.
Json error_json(const Error& error);

/// As a JSON string, in quotes.
void append_json_string(std::string& to, std::string_view text);

}  // namespace ashlar::app

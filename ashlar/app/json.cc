#include "ashlar/app/json.h"

#include <fmt/format.h>

#include <algorithm>

#include "ashlar/app/utf8.h"

namespace ashlar::app {
namespace {

constexpr int indent = 2;
constexpr int on_one_line = -1;

void begin_line(std::string& to, int depth) {
  if (depth == on_one_line) return;
  to += '\n';
  to.append(static_cast<std::size_t>(depth) * indent, ' ');
}

}  // namespace

Json::Json(std::initializer_list<Member> members) : value_(Object()) {
  for (const Member& member : members) (*this)[member.name] = member.value;
}

Json::Json(const std::vector<std::string>& list) : value_(Array(list.begin(), list.end())) {}

Json Json::array() {
  Json json;
  json.value_ = Array();
  return json;
}

void Json::push_back(Json item) {
  std::get<Array>(value_).push_back(std::move(item));
}

Json& Json::operator[](std::string_view name) {
  if (std::holds_alternative<std::monostate>(value_)) value_ = Object();
  Object& object = std::get<Object>(value_);
  const auto found = std::ranges::find(object.names, name);
  const auto index = static_cast<std::size_t>(found - object.names.begin());
  if (found != object.names.end()) return object.values[index];
  object.names.emplace_back(name);
  return object.values.emplace_back();
}

void Json::append(std::string& to, int depth) const {
  const int within = depth == on_one_line ? on_one_line : depth + 1;
  if (const auto* flag = std::get_if<bool>(&value_)) {
    to += *flag ? "true" : "false";
  } else if (const auto* number = std::get_if<std::uint64_t>(&value_)) {
    to += std::to_string(*number);
  } else if (const auto* string = std::get_if<std::string>(&value_)) {
    append_json_string(to, *string);
  } else if (const auto* list = std::get_if<Array>(&value_)) {
    to += '[';
    for (const Json& item : *list) {
      if (&item != &list->front()) to += ',';
      begin_line(to, within);
      item.append(to, within);
    }
    if (!list->empty()) begin_line(to, depth);
    to += ']';
  } else if (const auto* object = std::get_if<Object>(&value_)) {
    to += '{';
    for (std::size_t i = 0; i < object->names.size(); ++i) {
      if (i != 0) to += ',';
      begin_line(to, within);
      append_json_string(to, object->names[i]);
      to += depth == on_one_line ? ":" : ": ";
      object->values[i].append(to, within);
    }
    if (!object->names.empty()) begin_line(to, depth);
    to += '}';
  } else {
    to += "null";
  }
}

std::string Json::line() const {
  std::string line;
  append(line, on_one_line);
  return line;
}

std::string Json::text() const {
  std::string text;
  append(text, 0);
  return text + '\n';
}

std::string Json::plain() const {
  const auto* string = std::get_if<std::string>(&value_);
  return string != nullptr ? *string : line();
}

Json error_json(const Error& error) {
  return {{"code", to_string(error.code)},
          {"message", error.to_string()},
          {"object", error.object},
          {"offset", error.offset}};
}

void append_json_string(std::string& to, std::string_view text) {
  to += '"';
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = utf8_bytes(text, at);
    const char c = text[at];
    if (bytes == 0) {
      to += "\xef\xbf\xbd";  // U+FFFD
      ++at;
      continue;
    }
    if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else if (c == '\n') {
      to += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      to += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      to += text.substr(at, bytes);
    }
    at += bytes;
  }
  to += '"';
}

}  // namespace ashlar::app

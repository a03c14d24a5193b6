#include "ashlar/server/resp/reply_parser.h"

#include <algorithm>

#include "ashlar/server/resp/number.h"

namespace ashlar::resp {
namespace {

constexpr std::size_t line_bytes_max = 64 * 1024;

}  // namespace

ReplyParser::Status ReplyParser::parse(Bytes bytes) {
  const std::string_view input = as_text(bytes);
  if (done_) {
    nodes_.clear();
    frames_.clear();
    position_ = 0;
    done_ = false;
  } else if (base_ != input.data()) {
    for (auto& node : nodes_) {
      if (!node.text.empty()) node.text = {input.data() + (node.text.data() - base_), node.text.size()};
    }
  }
  base_ = input.data();
  for (;;) {
    const std::size_t before = position_;
    const Status status = parse_node(input);
    if (status == Status::complete) done_ = true;
    if (status != Status::incomplete || position_ == before) return status;
  }
}

/// Takes one node. incomplete with position_ moved means: a node was taken, more are to come.
ReplyParser::Status ReplyParser::parse_node(std::string_view input) {
  if (position_ == input.size()) return Status::incomplete;
  const std::size_t stop = input.find('\n', position_);
  if (stop == std::string_view::npos) {
    return input.size() - position_ > line_bytes_max ? Status::error : Status::incomplete;
  }
  if (stop < position_ + 2 || input[stop - 1] != '\r') return Status::error;
  const std::string_view line = input.substr(position_ + 1, stop - position_ - 2);
  const std::size_t body = stop + 1;
  switch (input[position_]) {
    case '+': return add({ReplyType::simple, 0, line}, body);
    case '-': return add({ReplyType::error, 0, line}, body);
    case '(': return add({ReplyType::big_number, 0, line}, body);
    case ',': return add({ReplyType::real, 0, line}, body);
    case '_': return line.empty() ? add({ReplyType::null, 0, {}}, body) : Status::error;
    case '#':
      if (line != "t" && line != "f") return Status::error;
      return add({ReplyType::boolean, line == "t" ? 1 : 0, {}}, body);
    case ':': {
      const auto value = parse_integer(line);
      return value ? add({ReplyType::integer, *value, {}}, body) : Status::error;
    }
    case '$': return parse_bulk(input, ReplyType::bulk, line, body);
    case '!': return parse_bulk(input, ReplyType::error, line, body);
    case '=': return parse_bulk(input, ReplyType::verbatim, line, body);
    case '*': return open_aggregate(ReplyType::array, line, body);
    case '%': return open_aggregate(ReplyType::map, line, body);
    case '~': return open_aggregate(ReplyType::set, line, body);
    case '>': return open_aggregate(ReplyType::push, line, body);
    case '|': return open_aggregate(ReplyType::attribute, line, body);
    default: return Status::error;
  }
}

ReplyParser::Status ReplyParser::parse_bulk(std::string_view input, ReplyType type, std::string_view header,
                                            std::size_t body) {
  const auto size = parse_integer(header);
  if (!size || *size < -1) return Status::error;
  if (*size == -1) return type == ReplyType::bulk ? add({ReplyType::null, 0, {}}, body) : Status::error;
  const auto length = static_cast<std::size_t>(*size);
  const std::size_t present = input.size() - body;
  if (present < length || present - length < 2) return Status::incomplete;
  if (input.substr(body + length, 2) != "\r\n") return Status::error;
  return add({type, 0, input.substr(body, length)}, body + length + 2);
}

ReplyParser::Status ReplyParser::open_aggregate(ReplyType type, std::string_view header, std::size_t body) {
  const auto count = parse_integer(header);
  if (!count || *count < -1 || *count > INT32_MAX) return Status::error;
  if (*count == -1) return type == ReplyType::array ? add({ReplyType::null, 0, {}}, body) : Status::error;
  const bool attribute = type == ReplyType::attribute;
  const std::int64_t children = attribute || type == ReplyType::map ? *count * 2 : *count;
  if (children == 0 && !attribute) return add({type, 0, {}}, body);
  if (frames_.size() == depth_max) return Status::error;
  nodes_.push_back({type, children, {}});
  position_ = body;
  if (children != 0) frames_.push_back({children, attribute});
  return Status::incomplete;
}

ReplyParser::Status ReplyParser::add(const ReplyNode& node, std::size_t end) {
  nodes_.push_back(node);
  position_ = end;
  return close_element() ? Status::complete : Status::incomplete;
}

/// One element is whole, and with it the aggregates that it was the last child of. True if that was the
/// reply.
bool ReplyParser::close_element() {
  while (!frames_.empty()) {
    if (--frames_.back().children != 0) return false;
    const bool attribute = frames_.back().attribute;
    frames_.pop_back();
    if (attribute) return false;
  }
  return true;
}

}  // namespace ashlar::resp

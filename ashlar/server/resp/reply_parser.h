#pragma once

/// The client's half of the protocol: a parser of replies, for benchmarks, tests and tools.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ashlar/base/bytes.h"

namespace ashlar::resp {

enum class ReplyType : std::uint8_t {
  simple,
  error,
  integer,
  bulk,
  null,
  boolean,
  real,
  big_number,
  verbatim,
  array,
  map,
  set,
  push,
  attribute,
};

/// One node of a reply. A reply is a list of them in the order they arrived: an aggregate, then its children.
struct ReplyNode {
  ReplyType type = ReplyType::null;
  std::int64_t integer = 0;  ///< the value; of an aggregate, how many nodes are its direct children
  std::string_view text;     ///< of everything with text; a verbatim string's starts with "txt:"
};

/// Parses replies, RESP2 and RESP3, from a contiguous buffer, in the manner of RequestParser: in place,
/// incrementally, reusing its storage. Depth is bounded; sizes are bounded by what was received.
class ReplyParser {
 public:
  enum class Status : std::uint8_t { complete, incomplete, error };

  Status parse(Bytes input);

  /// Valid until the buffer moves or the next parse().
  std::span<const ReplyNode> nodes() const noexcept { return nodes_; }
  std::size_t consumed() const noexcept { return position_; }

  static constexpr std::size_t depth_max = 32;

 private:
  struct Frame {
    std::int64_t children;  // still to come
    bool attribute;         // stands before an element and is none itself
  };

  Status parse_node(std::string_view input);
  Status parse_bulk(std::string_view input, ReplyType type, std::string_view header, std::size_t body);
  Status open_aggregate(ReplyType type, std::string_view header, std::size_t body);
  Status add(const ReplyNode& node, std::size_t end);
  bool close_element();

  std::vector<ReplyNode> nodes_;
  std::vector<Frame> frames_;
  const char* base_ = nullptr;
  std::size_t position_ = 0;
  bool done_ = true;
};

}  // namespace ashlar::resp

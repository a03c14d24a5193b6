#pragma once

/// Requests parsed ahead of their execution, so that what they wait for in memory is waited for side by side.

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "ashlar/server/resp/key_call.h"
#include "ashlar/server/resp/request_parser.h"

namespace ashlar::resp {

struct Place;

struct Request {
  std::span<const std::string_view> arguments;  ///< none: an empty request, which wants no reply
  std::size_t bytes = 0;                        ///< of the input
  const CommandSpec* spec = nullptr;            ///< null: no such command
  KeySlot* slot = nullptr;                      ///< of a well-formed command on one key
  const Place* place = nullptr;                 ///< where that key is served
};

/// A few requests that follow each other on one connection. Only commands on keys are looked beyond: others
/// may change what the requests after them mean. Not thread-safe; used for one group after another, and
/// allocates nothing once warm. Views of the input, valid until the next parse().
class RequestGroup {
 public:
  static constexpr std::size_t requests_max = 16;

  RequestGroup();

  /// Parses up to `limit` whole requests from the beginning of `unread`. Returns what the parser said last:
  /// where that is not `complete`, the group ends in front of what it was said about.
  RequestParser::Status parse(RequestParser& parser, MutableBytes unread, std::size_t limit = requests_max);

  std::span<Request> requests() noexcept { return requests_; }

 private:
  bool add(const RequestParser& parser);

  std::vector<std::string_view> arguments_;
  std::vector<Request> requests_;
  std::vector<KeySlot> slots_;
};

}  // namespace ashlar::resp

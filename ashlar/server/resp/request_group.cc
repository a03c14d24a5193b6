#include "ashlar/server/resp/request_group.h"

namespace ashlar::resp {

namespace {

constexpr std::size_t arguments_kept_max = 1024;

}  // namespace

RequestGroup::RequestGroup() {
  requests_.reserve(requests_max);
  slots_.reserve(requests_max);  // their addresses are handed out
}

RequestParser::Status RequestGroup::parse(RequestParser& parser, MutableBytes unread, std::size_t limit) {
  if (arguments_.capacity() > arguments_kept_max) [[unlikely]]
    std::vector<std::string_view>().swap(arguments_);
  arguments_.clear();
  requests_.clear();
  slots_.clear();
  auto status = RequestParser::Status::complete;
  for (bool ahead = true; ahead && requests_.size() < limit;) {
    // An inline request is unescaped in place: where it must wait, it cannot be parsed again.
    const bool inline_request = !unread.empty() && unread.front() != std::byte{'*'};
    if (inline_request && !requests_.empty()) break;
    status = parser.parse(unread);
    if (status != RequestParser::Status::complete) break;
    ahead = add(parser) && !inline_request;
    unread = unread.subspan(parser.consumed());
  }
  const std::string_view* arguments = arguments_.data();  // which may have moved while it grew
  for (Request& request : requests_) {
    request.arguments = {arguments, request.arguments.size()};
    arguments += request.arguments.size();
  }
  return status;
}

/// Whether what follows may be looked at before this has run.
bool RequestGroup::add(const RequestParser& parser) {
  const auto arguments = parser.arguments();
  Request& request = requests_.emplace_back();
  request.arguments = arguments;
  request.bytes = parser.consumed();
  arguments_.insert(arguments_.end(), arguments.begin(), arguments.end());
  if (arguments.empty()) return true;
  request.spec = find_command(arguments[0]);
  if (request.spec == nullptr || request.spec->route != Route::keys) return false;
  if (!arity_fits(*request.spec, arguments.size())) return true;
  if (key_count(*request.spec, arguments.size()) != 1) return true;
  const std::string_view key = arguments[key_index(*request.spec, 0)];
  if (key.size() <= kv::user_key_bytes_max) request.slot = &slots_.emplace_back(key);
  return true;
}

}  // namespace ashlar::resp

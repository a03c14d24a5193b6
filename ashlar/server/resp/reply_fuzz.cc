/// Whatever a server sends, in whatever pieces: the same nodes as for the whole at once, never a stray read.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "ashlar/server/resp/reply_parser.h"

namespace {

using ashlar::resp::ReplyParser;

std::vector<std::string> parse(std::string_view text, std::size_t step) {
  ReplyParser parser;
  std::vector<std::string> seen;
  std::vector<char> unread;
  for (std::size_t at = 0; at < text.size(); at += step) {
    const auto piece = text.substr(at, step);
    std::vector<char> grown(unread);
    grown.insert(grown.end(), piece.begin(), piece.end());
    grown.shrink_to_fit();
    unread.swap(grown);
    for (;;) {
      const auto status = parser.parse(ashlar::as_bytes({unread.data(), unread.size()}));
      if (status == ReplyParser::Status::error) {
        seen.emplace_back("error");
        return seen;
      }
      if (status == ReplyParser::Status::incomplete) break;
      seen.emplace_back("reply");
      for (const auto& node : parser.nodes()) {
        seen.push_back(std::to_string(static_cast<int>(node.type)) + std::to_string(node.integer));
        seen.emplace_back(node.text);
      }
      unread.erase(unread.begin(), unread.begin() + static_cast<std::ptrdiff_t>(parser.consumed()));
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (parse(text, text.size()) != parse(text, data[0] % 31 + 1)) std::abort();
  return 0;
}

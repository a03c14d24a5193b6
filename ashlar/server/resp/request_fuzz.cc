/// Whatever arrives, in whatever pieces: the parser gives the same requests and the same end as it does for
/// the whole at once, and never reads outside.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "ashlar/server/resp/request_parser.h"

namespace {

using ashlar::resp::RequestParser;

std::vector<std::string> parse(std::string_view text, std::size_t step) {
  RequestParser parser;
  std::vector<std::string> seen;
  std::vector<char> unread;
  for (std::size_t at = 0; at < text.size(); at += step) {
    const auto piece = text.substr(at, step);
    std::vector<char> grown(
        unread);  // exactly as large as its contents, so that ASan sees the first stray byte
    grown.insert(grown.end(), piece.begin(), piece.end());
    grown.shrink_to_fit();
    unread.swap(grown);
    for (;;) {
      const auto status = parser.parse({reinterpret_cast<std::byte*>(unread.data()), unread.size()});
      if (status == RequestParser::Status::error) {
        seen.emplace_back(parser.error());
        return seen;
      }
      if (status == RequestParser::Status::incomplete) {
        if (parser.wanted() == 0) std::abort();
        break;
      }
      seen.push_back("request");
      for (const auto argument : parser.arguments()) seen.emplace_back(argument);
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

#include "ashlar/server/resp/reply_writer.h"

#include <algorithm>

namespace ashlar::resp {

void ReplyWriter::error(std::string_view text) {
  out_->append("-");
  while (!text.empty()) {
    const std::size_t run = std::min(text.find_first_of("\r\n"), text.size());
    out_->append(text.substr(0, run));
    text.remove_prefix(run);
    if (!text.empty()) {
      out_->append(" ");
      text.remove_prefix(1);
    }
  }
  out_->append("\r\n");
}

void ReplyWriter::verbatim(std::string_view text) {
  if (protocol_ == Protocol::resp2) return bulk(text);
  header('=', static_cast<std::int64_t>(text.size()) + 4);
  out_->append("txt:");
  out_->append(text);
  out_->append("\r\n");
}

}  // namespace ashlar::resp

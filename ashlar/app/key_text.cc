#include "ashlar/app/key_text.h"

#include <fmt/format.h>

#include "ashlar/kv/key.h"

namespace ashlar::app {

std::string escaped(Bytes bytes) {
  std::string text;
  for (const char c : as_text(bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\')
      text += "\\\\";
    else if (byte >= 0x20 && byte < 0x7f)
      text += c;
    else
      text += fmt::format("\\x{:02x}", byte);
  }
  return text;
}

std::string key_text(Bytes stored) {
  if (stored.size() < kv::key_prefix_bytes) return escaped(stored);
  const auto type = static_cast<unsigned>(stored[0]);
  constexpr auto family = static_cast<unsigned>(kv::KeyType::column_family);
  const std::string text = escaped(kv::user_key_of_stored(stored));
  if (type == static_cast<unsigned>(kv::KeyType::value)) return text;
  return type >= family ? fmt::format("family {}: {}", type - family, text)
                        : fmt::format("type {}: {}", type, text);
}

}  // namespace ashlar::app

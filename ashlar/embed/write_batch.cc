#include "ashlar/embed/write_batch.h"

namespace ashlar {

void WriteBatch::add(What what, std::string_view key, std::string_view value, std::uint64_t expiry_ms) {
  entries_.push_back({what, text_.size(), key.size(), value.size(), expiry_ms});
  text_.append(key).append(value);
}

void WriteBatch::put(std::string_view key, std::string_view value, std::uint64_t expiry_ms) {
  add(What::put, key, value, expiry_ms);
}

void WriteBatch::erase(std::string_view key) {
  add(What::erase, key, {}, no_expiry);
}

void WriteBatch::clear() noexcept {
  text_.clear();
  entries_.clear();
}

}  // namespace ashlar

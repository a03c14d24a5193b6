#include "ashlar/embed/write_batch.h"

namespace ashlar {

void WriteBatch::add(What what, Family family, std::string_view key, std::string_view value,
                     std::uint64_t expiry_ms) {
  entries_.push_back({what, family, text_.size(), key.size(), value.size(), expiry_ms});
  text_.append(key).append(value);
}

void WriteBatch::put(std::string_view key, std::string_view value, std::uint64_t expiry_ms, Family family) {
  add(What::put, family, key, value, expiry_ms);
}

void WriteBatch::erase(std::string_view key, Family family) {
  add(What::erase, family, key, {}, no_expiry);
}

void WriteBatch::merge(std::string_view key, std::string_view operand, Family family) {
  add(What::merge, family, key, operand, no_expiry);
}

void WriteBatch::erase_range(std::string_view lower, std::string_view upper, Family family) {
  add(What::erase_range, family, lower, upper, no_expiry);
}

void WriteBatch::clear() noexcept {
  text_.clear();
  entries_.clear();
}

}  // namespace ashlar

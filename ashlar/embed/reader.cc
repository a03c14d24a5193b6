#include "ashlar/embed/reader.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "ashlar/embed/look_up.h"

namespace ashlar {

namespace embed {

namespace {

template <class Take>
Result<bool> ask(Engine& engine, const kv::StoredKey& key, const ReadOptions& options, Take& take) {
  GetCall call(
      engine, key, options, [](void* into, Bytes value) { (*static_cast<Take*>(into))(value); }, &take);
  TRY(engine.submit_and_wait(call.home(), call));
  call.cost.add_up();
  return call.result;
}

/// `take(Bytes)` copies what is found; it is called once, here or on the shard.
template <class Take>
Result<bool> look_up(Engine& engine, std::string_view user_key, const ReadOptions& options, Take take) {
  if (user_key.size() > kv::user_key_bytes_max) [[unlikely]]
    return fail(Errc::too_large, "key");
  const kv::StoredKey key = engine.stored_short(user_key, options.family);
  {
    const epoch::Guard guard;
    kv::Peek found;
    if (peek(engine, key, options, found)) [[likely]] {
      if (found.present) take(found.value);
      return found.present;
    }
  }
  return ask(engine, key, options, take);
}

}  // namespace
}  // namespace embed

void PinnedValue::pin() noexcept {
  static_assert(sizeof(epoch::Guard) == sizeof guard_ && alignof(epoch::Guard) <= alignof(void*));
  new (guard_) epoch::Guard;
  pinned_ = true;
}
void PinnedValue::unpin() noexcept {
  std::launder(reinterpret_cast<epoch::Guard*>(guard_))->~Guard();
  pinned_ = false;
}

Result<bool> Reader::get(std::string_view key, std::string& value) const {
  return embed::look_up(*engine_, key, options_, [&](Bytes found) { value.assign(as_text(found)); });
}

Result<std::optional<std::size_t>> Reader::get(std::string_view key, std::span<char> into) const {
  std::size_t bytes = 0;
  const bool found = TRY(embed::look_up(*engine_, key, options_, [&](Bytes value) {
    bytes = value.size();
    const std::size_t fits = std::min(bytes, into.size());
    if (fits != 0) std::memcpy(into.data(), value.data(), fits);
  }));
  if (!found) return std::nullopt;
  return bytes;
}

Result<std::optional<std::string>> Reader::get(std::string_view key) const {
  std::optional<std::string> value;
  TRY(embed::look_up(*engine_, key, options_, [&](Bytes found) { value.emplace(as_text(found)); }));
  return value;
}

Result<bool> Reader::contains(std::string_view key) const {
  return embed::look_up(*engine_, key, options_, [](Bytes) {});
}

Result<bool> Reader::get(std::string_view user_key, PinnedValue& value) const {
  value.reset();
  const kv::StoredKey key = TRY(engine_->stored(user_key, options_.family));
  kv::Peek found;
  value.pin();
  if (embed::peek(*engine_, key, options_, found)) {
    if (found.present) {
      value.view_ = as_text(found.value);
    } else {
      value.unpin();
    }
    return found.present;
  }
  value.unpin();
  auto copy = [&](Bytes bytes) {
    value.copy_.assign(as_text(bytes));
    value.view_ = value.copy_;
  };
  return embed::ask(*engine_, key, options_, copy);
}

}  // namespace ashlar

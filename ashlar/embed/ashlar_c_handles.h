#pragma once

/// What the sources of the C API share: the handles, and errors from one language to the other.

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ashlar/embed/ashlar_c.h"
#include "ashlar/embed/db.h"

namespace ashlar::c {

/// What calls cost, added up in the program's receipt.
class ReceiptOf {
 public:
  explicit ReceiptOf(ashlar_receipt* to) noexcept : to_(to) {}
  ReceiptOf(const ReceiptOf&) = delete;
  ReceiptOf& operator=(const ReceiptOf&) = delete;
  ~ReceiptOf() { add_up(); }
  Receipt& made() noexcept { return made_; }
  void add_up() noexcept;

 private:
  ashlar_receipt* to_;
  Receipt made_;
};

}  // namespace ashlar::c

struct ashlar_db {
  ashlar::Db db;
};
struct ashlar_options {
  ashlar::DbOptions options;
};
struct ashlar_batch {
  ashlar::WriteBatch batch;
};
struct ashlar_snapshot {
  ashlar::Snapshot snapshot;
};
struct ashlar_reader {
  ashlar::Reader reader;
  std::unique_ptr<ashlar::c::ReceiptOf> receipt = nullptr;
};
struct ashlar_iterator {
  ashlar::Iterator iterator;
  std::unique_ptr<ashlar::c::ReceiptOf> receipt = nullptr;
};
struct ashlar_transaction {
  ashlar::Transaction transaction;
};

namespace ashlar::c {

int fill(ashlar_error* to, const Error& error, const std::string& message) noexcept;
int fill(ashlar_error* to, const Error& error) noexcept;
int done(ashlar_error* error) noexcept;
template <class T>
int finish(const Result<T>& result, ashlar_error* error) noexcept {
  return result ? done(error) : fill(error, result.error());
}

inline bool known(int durability) noexcept {
  return durability >= ASHLAR_DURABLE && durability <= ASHLAR_NONE;
}
int unknown_durability(ashlar_error* error) noexcept;
inline WriteOptions with(int durability) noexcept {
  return {.durability = static_cast<Durability>(durability)};
}

/// What the caller's header knows of the options; the rest as it was before there was such an option.
template <class Options>
Options known_part(const Options* given, Options defaults) noexcept {
  if (given != nullptr) std::memcpy(&defaults, given, std::min(given->struct_bytes, sizeof defaults));
  return defaults;
}

/// Tells a function of the program how a write ended.
inline auto teller(ashlar_done call, void* context) noexcept {
  return [call, context](const Result<>& result) {
    ashlar_error what{};
    if (!result) fill(&what, result.error());
    call(context, what.code, what.message);
  };
}

/// 0: never.
Deadline deadline_after(std::uint64_t timeout_us) noexcept;
/// A bound; of 0 bytes: none.
inline std::string text_of(const char* begin, std::size_t bytes) {
  return bytes != 0 ? std::string(begin, bytes) : std::string();
}
/// A value of the program's to free.
char* copy_of(std::string_view text);
/// *value: NULL where there is none.
int give(const Result<std::optional<std::string>>& found, char** value, size_t* value_bytes,
         ashlar_error* error);

}  // namespace ashlar::c

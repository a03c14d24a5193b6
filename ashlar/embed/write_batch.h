#pragma once

/// Writes that are made together: all of them or none.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/embed/options.h"

namespace ashlar {

namespace embed {
class PreparedBatch;
}

/// Keys and values are copied in. A key may occur more than once: the writes count in their order. One thread
/// at a time; may be written any number of times.
class WriteBatch {
 public:
  /// `expiry_ms`: wall clock in milliseconds since 1970 from which the key is absent.
  void put(std::string_view key, std::string_view value, std::uint64_t expiry_ms = no_expiry,
           Family family = {});
  void erase(std::string_view key, Family family = {});
  /// As Db::merge().
  void merge(std::string_view key, std::string_view operand, Family family = {});
  /// As Db::erase_range(), of the keys that are there and of those that stand before it in the batch. A batch
  /// with ranges is of one partition.
  void erase_range(std::string_view lower, std::string_view upper, Family family = {});
  void clear() noexcept;

  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  std::size_t bytes() const noexcept { return text_.size(); }

 private:
  friend class embed::PreparedBatch;
  enum class What : std::uint8_t { put, erase, merge, erase_range };
  struct Entry {
    What what;
    Family family;
    std::size_t begin, key_bytes, value_bytes;  // in text_; of a range: its bounds
    std::uint64_t expiry_ms;
  };

  void add(What what, Family family, std::string_view key, std::string_view value, std::uint64_t expiry_ms);

  std::string text_;
  std::vector<Entry> entries_;
};

}  // namespace ashlar

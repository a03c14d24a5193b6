#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ashlar/base/error.h"
#include "ashlar/embed/options.h"

namespace ashlar {

namespace embed {
class Scan;
}

struct IterateOptions {
  std::string lower = {};   ///< first key, included; empty: from the beginning
  std::string upper = {};   ///< end, excluded; empty: to the end; not above `lower`: nothing
  std::string prefix = {};  ///< only keys that begin with it; instead of lower and upper
  ReadOptions read = {};    ///< without a snapshot, the iterator takes its own
};

/// Walks keys in order, in both directions, as they were when it was made. In a database whose keys are
/// spread by hash (`ashlar serve` makes such) the order is that of slots, and bounds and seek() are
/// `unsupported`.
///
///   for (bool more = it.seek_first(); more; more = it.next()) use(it.key(), it.value());
///   if (!it.status()) …
///
/// One thread at a time. Entries come from the shard some hundred at a time; key() and value() stay valid
/// until it moves. It may outlive its Db, and then says `closed`.
class Iterator {
 public:
  Iterator(Iterator&&) noexcept;
  Iterator& operator=(Iterator&&) noexcept;
  ~Iterator();

  /// Each returns valid().
  bool seek_first();
  bool seek_last();
  bool seek(std::string_view key);           ///< to the first key that is not below it
  bool seek_backward(std::string_view key);  ///< to the last key that is not above it
  bool next();                               ///< only where valid
  bool previous();                           ///< only where valid

  /// Whether it stands on a key. If not: the end was passed, or status() says what went wrong.
  bool valid() const noexcept;
  const Result<>& status() const noexcept;

  std::string_view key() const noexcept;
  std::string_view value() const noexcept;
  std::uint64_t expiry_ms() const noexcept;

  /// In place of that of the options, for walks that begin later: with a seek.
  void set_deadline(Deadline deadline) noexcept;

 private:
  friend class Db;
  friend class Transaction;
  explicit Iterator(std::unique_ptr<embed::Scan> scan) noexcept;

  std::unique_ptr<embed::Scan> scan_;
};

}  // namespace ashlar

#pragma once

/// Keys and values in text files: CSV (RFC 4180) and JSON lines. What is written is read back byte for byte.
///
///   CSV         family,key,value,expires_ms      the first line names the columns, in any order; `key` must
///   be
///                                                there. A field may hold any bytes, and stands in quotes
///                                                where there is a comma, a quote or a line end in it
///   JSON lines  {"key":"a","value":"b"}          beside them "family" and "expires_ms"; what is no UTF-8
///   stands
///                                                in base64 under "key_base64", "value_base64"
///
/// expires_ms: wall clock, milliseconds since 1970; without it the entry stays. Without a family the key is
/// one of the store's own.

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ashlar/base/bytes.h"
#include "ashlar/base/error.h"

namespace ashlar::app {

struct Record {
  std::string family;  ///< by name; empty: none
  std::string key, value;
  std::uint64_t expires_ms = 0;  ///< 0: never

  bool operator==(const Record&) const = default;
};

enum class RecordFormat : std::uint8_t { csv, jsonl };

/// What stands before the first record.
std::string_view header_of(RecordFormat format) noexcept;
/// One record, its line end included.
void append_record(std::string& to, RecordFormat format, const Record& record);

/// What is wrong, and where: line and column from 1, the column in bytes. An error of reading has no place.
struct BadRecord {
  std::uint64_t line = 0, column = 0;
  std::string why;
};

/// Reads up to so many bytes; 0: the end.
using ReadBytes = std::function<Result<std::size_t>(MutableBytes into)>;

/// Owner: one task. Memory: one record, whose key and value have the limits of the store.
class RecordReader {
 public:
  virtual ~RecordReader() = default;

  /// False at the end. After an error nothing more is read.
  virtual std::expected<bool, BadRecord> next(Record& record) = 0;
  /// Where the last record began.
  std::uint64_t line() const noexcept { return line_; }

 protected:
  std::uint64_t line_ = 0;
};
std::unique_ptr<RecordReader> read_records(RecordFormat format, ReadBytes read);

}  // namespace ashlar::app

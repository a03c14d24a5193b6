#pragma once

/// What commands that read files of records share.

#include <expected>
#include <map>
#include <optional>
#include <string>

#include "ashlar/app/record_format.h"
#include "ashlar/app/text_file.h"
#include "ashlar/kv/lsm/store.h"

namespace ashlar::app {

/// `named`: csv or jsonl, or empty: as the file's name ends, JSON lines where it has none. Nothing where that
/// does not say.
std::optional<RecordFormat> format_of_file(const std::string& file, const std::string& named);
/// One line on stderr. Returns exit_usage.
int say_unknown_format(const std::string& file);

/// "line 3, column 7: …"
std::string text_of(const BadRecord& bad);

/// The types of keys, by the names of their column families.
class RecordTypes {
 public:
  /// `create`: families that are not there are made.
  RecordTypes(lsm::LsmStore& store, bool create);
  /// The error is one line.
  Task<std::expected<kv::KeyType, std::string>> of(std::string family);

 private:
  lsm::LsmStore& store_;
  bool create_;
  std::map<std::string, kv::KeyType> types_;
};

}  // namespace ashlar::app

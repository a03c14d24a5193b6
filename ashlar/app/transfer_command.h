#pragma once

/// `ashlar kv` export and import: keys and values as text (record_format.h). docs/tools.md.

#include <string>

#include "ashlar/app/settings.h"

namespace ashlar::app {

struct TransferArguments {
  std::string data;
  std::string file;              ///< export: empty is standard output; import: "-" is standard input
  std::string format;            ///< csv or jsonl; empty: as the file's name ends, jsonl where there is none
  std::string prefix, from, to;  ///< export: of user keys; `to` excluded; empty: no bound
  std::string family;            ///< export: this column family alone
  bool create = false;           ///< import: make the data set where there is none
  bool create_families = false;  ///< import: likewise, without TTL and merge operator
};

/// Writes records in the order of storage: by partition, slot and key. Returns the exit status: 1 after one
/// line on stderr, exit_usage where the arguments are wrong.
int export_data(const TransferArguments& arguments, const Settings& settings);
/// Puts the records of a file, over what is there, some thousand at once. Where one cannot be read,
/// everything before it is imported; the line says where it is and how many those are.
int import_data(const TransferArguments& arguments, const Settings& settings);

}  // namespace ashlar::app

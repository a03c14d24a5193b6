#pragma once

/// `ashlar kv ingest` and `ashlar kv compact`: whole tables at once. docs/tools.md.

#include <string>

#include "ashlar/app/settings.h"

namespace ashlar::app {

struct IngestArguments {
  std::string data;
  std::string file;              ///< "-" is standard input
  std::string format;            ///< csv or jsonl; empty: as the file's name ends
  bool sort = false;             ///< the records are put in order in memory first
  bool create = false;           ///< make the data set where there is none
  bool create_families = false;  ///< likewise, without TTL and merge operator
};

/// Builds tables of a file's records, which are in the order of storage (that of `kv export`) unless `sort`,
/// and adds them to each partition by one record of its manifest. Returns the exit status: 1 after one line
/// on stderr; then no partition has anything of it, unless the line says which have.
int ingest_data(const IngestArguments& arguments, const Settings& settings);

/// Merges all tables of each partition into its last level. One line for each; 1 after one on stderr.
int compact_data(const std::string& data, const Settings& settings);

}  // namespace ashlar::app

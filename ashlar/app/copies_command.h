#pragma once

/// `ashlar kv` verify, repair, checkpoint, backup, backups and restore: docs/tools.md.

#include <cstdint>
#include <string>
#include <vector>

#include "ashlar/app/settings.h"

namespace ashlar::app {

/// Places are dir:PATH or blob(DEVICE).
struct CopiesArguments {
  std::string data;
  std::string repository;
  std::string destination;              ///< of a checkpoint
  std::vector<std::string> restore_to;  ///< [ID] DEST
  std::uint64_t keep = 0;               ///< backup: generations that stay; 0: all
  bool force = false;                   ///< repair: rebuild manifests also where they can be read
  bool check = false;                   ///< backups: read every byte of the repository
  bool json = false;
};

// Each returns the exit status: 0, exit_damaged, or 1 after one line on stderr.

int verify_data(const CopiesArguments& arguments, const Settings& settings);
int repair_data(const CopiesArguments& arguments, const Settings& settings);
int make_checkpoint(const CopiesArguments& arguments, const Settings& settings);
int make_backup(const CopiesArguments& arguments, const Settings& settings);
int list_backups(const CopiesArguments& arguments, const Settings& settings);
/// exit_usage where ID is no number.
int restore_backup(const CopiesArguments& arguments, const Settings& settings);

}  // namespace ashlar::app

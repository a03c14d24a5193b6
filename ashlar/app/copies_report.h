#pragma once

/// What verification, repair and backups have to say, for people and as JSON.

#include <string>
#include <vector>

#include "ashlar/app/json.h"
#include "ashlar/kv/lsm/backup.h"
#include "ashlar/kv/lsm/repair.h"
#include "ashlar/kv/lsm/verify.h"

namespace ashlar::app {

/// One line for each damage, and one that sums up. `name`: of the data set.
std::string report_text(const std::string& name, const lsm::VerifyReport& report);
Json report_json(const std::string& name, const lsm::VerifyReport& report);

/// Lines for each partition.
std::string report_text(const std::string& name, const std::vector<lsm::PartitionRepair>& report);
Json report_json(const std::string& name, const std::vector<lsm::PartitionRepair>& report);
/// Whether something of it could not be saved.
bool lost_something(const std::vector<lsm::PartitionRepair>& report);

/// A table of generations, and one line for each blob that is damaged.
std::string report_text(const std::vector<lsm::BackupGeneration>& generations,
                        const std::vector<Error>& damages);
Json report_json(const std::vector<lsm::BackupGeneration>& generations, const std::vector<Error>& damages);

}  // namespace ashlar::app

#pragma once

/// How the tables of a level are written.

#include "ashlar/kv/lsm/options.h"
#include "ashlar/kv/lsm/version.h"

namespace ashlar::lsm {

/// For tables that go to `level` of `version`:
///  - In the deepest level, where nine of ten keys are and most look-ups that come so far find what they look
///  for,
///    filters are ribbons: a quarter less memory for some more work.
///  - Once the indexes and filters in memory are what the options allow, tables are partitioned.
TableOptions table_options_for(const LsmOptions& options, const Version& version, unsigned level);

}  // namespace ashlar::lsm

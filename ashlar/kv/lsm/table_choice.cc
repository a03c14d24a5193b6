#include "ashlar/kv/lsm/table_choice.h"

namespace ashlar::lsm {

TableOptions table_options_for(const LsmOptions& options, const Version& version, unsigned level) {
  TableOptions result = table_options(options, level);
  std::uint64_t index_bytes = 0;
  bool deepest = level != 0;
  for (const Run& run : version.runs) {
    if (run.level > level) deepest = false;
    for (const TableFile* table : run.tables) index_bytes += table->index_bytes();
  }
  if (deepest && options.ribbon_filters) result.filter_kind = FilterKind::ribbon;
  result.partitioned = index_bytes >= options.flat_index_bytes;
  return result;
}

}  // namespace ashlar::lsm

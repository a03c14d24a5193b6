#include "ashlar/blob/store.h"

#include <algorithm>

namespace ashlar::blob {

Task<Result<>> Store::remove_tables_except(std::vector<std::uint64_t> keep) {
  const Listing listing = CO_TRY(list());
  for (const TableInfo& table : listing.tables) {
    if (!std::ranges::binary_search(keep, table.number)) CO_TRY(co_await remove_table(table.number));
  }
  co_return Result<>();
}

}  // namespace ashlar::blob

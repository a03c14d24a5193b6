#include "ashlar/blob/store.h"

#include <algorithm>

namespace ashlar::blob {

Task<Result<>> Store::remove_tables_except(std::vector<std::uint64_t> keep) {
  const Listing listing = CO_TRY(list());
  for (const TableInfo& table : listing.tables) {
    if (quarantined(table.number) || std::ranges::binary_search(keep, table.number)) continue;
    CO_TRY(co_await remove_table(table.number));
  }
  co_return Result<>();
}

Task<Result<bool>> Store::share_table(std::uint64_t, Store&) {
  co_return false;
}

}  // namespace ashlar::blob

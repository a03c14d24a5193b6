#include "ashlar/kv/lsm/table/table.h"

#include "ashlar/kv/lsm/table/frame.h"

namespace ashlar::lsm {

Result<Table> Table::open(const Footer& footer, Bytes meta) {
  if (meta.size() != footer.offset - footer.meta) {
    return fail(Errc::invalid, "table open: size of meta", {footer.number, footer.meta});
  }
  const auto payload = [&](FrameType type, BlockHandle handle) {
    return open_plain_frame(meta.subspan(handle.bytes == 0 ? 0 : handle.offset - footer.meta, handle.bytes),
                            type, {footer.number, handle.offset});
  };
  Table table;
  table.number_ = footer.number;
  table.block_bytes_ = footer.block_bytes;
  if (footer.filter.bytes != 0) {
    const Bytes filter = TRY(payload(FrameType::filter, footer.filter));
    table.filter_ = TRY(Filter::parse(filter, {footer.number, footer.filter.offset}));
  }
  const Bytes index = TRY(payload(FrameType::index, footer.index));
  table.index_ = TRY(Index::parse(index, footer.meta, {footer.number, footer.index.offset}));
  const Bytes properties = TRY(payload(FrameType::properties, footer.properties));
  table.properties_ = TRY(Properties::decode(properties, {footer.number, footer.properties.offset}));
  return table;
}

}  // namespace ashlar::lsm

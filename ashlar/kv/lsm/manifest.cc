#include "ashlar/kv/lsm/manifest.h"

#include <algorithm>

#include "ashlar/base/fields.h"
#include "ashlar/kv/lsm/table/value_table.h"

namespace ashlar::lsm {

namespace {

enum class Tag : std::uint64_t {
  partition = 1,
  next_number = 2,
  flushed = 3,
  log_index = 4,
  cleared = 5,
  add_table = 6,
  remove_table = 7,
  snapshot = 8,
  last_sequence = 9,
  add_table_to_run = 10,
  add_values = 11,
  remove_values = 12,
  add_ingested_table = 13,
};
void number(FieldWriter& out, Tag tag, std::uint64_t value) {
  out.field(static_cast<std::uint64_t>(tag), {value});
}

void encode_table(FieldWriter& out, const TableMeta& table) {
  FieldWriter inner;
  const bool by_default = !table.ingested && table.run == default_run(table.level, table.number);
  if (!by_default) inner.number(table.run);
  for (const std::uint64_t value :
       {std::uint64_t{table.level}, table.number, table.file_bytes, table.entries, table.tombstones,
        table.smallest_sequence.value, table.largest_sequence.value}) {
    inner.number(value);
  }
  inner.bytes(as_bytes(table.smallest_key));
  inner.bytes(as_bytes(table.largest_key));
  const Tag tag = table.ingested ? Tag::add_ingested_table
                  : by_default   ? Tag::add_table
                                 : Tag::add_table_to_run;
  out.field(static_cast<std::uint64_t>(tag), inner);
}

Result<TableMeta> decode_table(FieldReader& in, Tag tag) {
  TableMeta table;
  table.ingested = tag == Tag::add_ingested_table;
  if (tag != Tag::add_table) table.run = TRY(in.number());
  table.level = static_cast<unsigned>(TRY(in.number(level_count - 1)));
  table.number = TRY(in.number());
  if (tag == Tag::add_table) table.run = default_run(table.level, table.number);
  table.file_bytes = TRY(in.number());
  table.entries = TRY(in.number());
  table.tombstones = TRY(in.number());
  table.smallest_sequence = Sequence{TRY(in.number())};
  table.largest_sequence = Sequence{TRY(in.number())};
  table.smallest_key = as_text(TRY(in.bytes()));
  table.largest_key = as_text(TRY(in.bytes()));
  for (const std::string* key : {&table.smallest_key, &table.largest_key}) {
    if (key->size() < kv::key_prefix_bytes || key->size() > kv::stored_key_bytes_max) return in.error();
  }
  if (table.smallest_key > table.largest_key) return in.error();
  if (table.ingested && table.smallest_sequence != table.largest_sequence) return in.error();
  return table;
}

Result<ValueTableMeta> decode_values(FieldReader& in) {
  ValueTableMeta table;
  table.number = TRY(in.number());
  table.data_bytes = TRY(in.number(value_table_bytes_max));
  if (table.data_bytes == 0 || table.data_bytes % value_align != 0) return in.error();
  return table;
}

Result<> decode_field(std::uint64_t tag, FieldReader& in, Edit& edit) {
  switch (static_cast<Tag>(tag)) {
    case Tag::partition: edit.partition = TRY(in.number()); break;
    case Tag::next_number: edit.next_number = TRY(in.number()); break;
    case Tag::flushed: edit.flushed = Sequence{TRY(in.number())}; break;
    case Tag::log_index: edit.log_index = TRY(in.number()); break;
    case Tag::cleared: edit.cleared = Sequence{TRY(in.number())}; break;
    case Tag::add_table:
    case Tag::add_table_to_run:
    case Tag::add_ingested_table: edit.added.push_back(TRY(decode_table(in, static_cast<Tag>(tag)))); break;
    case Tag::remove_table: edit.removed.push_back(TRY(in.number())); break;
    case Tag::add_values: edit.added_values.push_back(TRY(decode_values(in))); break;
    case Tag::remove_values: edit.removed_values.push_back(TRY(in.number())); break;
    case Tag::snapshot: edit.snapshot = true; break;
    case Tag::last_sequence: edit.last_sequence = Sequence{TRY(in.number())}; break;
    default:
      if (tag < first_skippable_tag) return in.error(Errc::unsupported);
      return {};
  }
  if (!in.at_end()) return in.error();
  return {};
}

bool in_same_run(const TableMeta& a, const TableMeta& b) noexcept {
  return a.level == b.level && a.run == b.run;
}

bool disjoint(const std::vector<const TableMeta*>& in_order) {
  const auto overlap = [](const TableMeta* a, const TableMeta* b) {
    return in_same_run(*a, *b) && a->largest_key >= b->smallest_key;
  };
  return std::ranges::adjacent_find(in_order, overlap) == in_order.end();
}

}  // namespace

std::vector<std::byte> Edit::encode() const {
  FieldWriter out;
  if (snapshot) out.field(static_cast<std::uint64_t>(Tag::snapshot), {});
  if (partition) number(out, Tag::partition, *partition);
  if (next_number) number(out, Tag::next_number, *next_number);
  if (flushed) number(out, Tag::flushed, flushed->value);
  if (log_index) number(out, Tag::log_index, *log_index);
  if (cleared) number(out, Tag::cleared, cleared->value);
  if (last_sequence) number(out, Tag::last_sequence, last_sequence->value);
  for (const std::uint64_t table : removed) number(out, Tag::remove_table, table);
  for (const std::uint64_t table : removed_values) number(out, Tag::remove_values, table);
  for (const TableMeta& table : added) encode_table(out, table);
  for (const ValueTableMeta& table : added_values)
    out.field(static_cast<std::uint64_t>(Tag::add_values), {table.number, table.data_bytes});
  return out.take();
}

Result<Edit> Edit::decode(Bytes bytes, ErrorPlace place) {
  Edit edit;
  FieldReader in(bytes, "manifest edit", place);
  while (!in.at_end()) {
    auto field = TRY(in.field());
    TRY(decode_field(field.tag, field.content, edit));
  }
  return edit;
}

Result<> ManifestState::apply(const Edit& edit, ErrorPlace place) {
  ManifestState next = edit.snapshot ? ManifestState{} : *this;
  const auto corrupt = [&](const char* what) { return fail(Errc::corrupt, what, place); };
  if (edit.partition) next.partition = *edit.partition;
  if (edit.next_number) next.next_number = *edit.next_number;
  if (edit.flushed) next.flushed = *edit.flushed;
  if (edit.log_index) next.log_index = *edit.log_index;
  if (edit.cleared) next.cleared = *edit.cleared;
  if (edit.last_sequence) next.last_sequence = *edit.last_sequence;
  for (const std::uint64_t number : edit.removed) {
    if (next.tables.erase(number) == 0) return corrupt("manifest removes a table that is not there");
  }
  for (const TableMeta& table : edit.added) {
    if (table.number >= next.next_number || table.run >= next.next_number) {
      return corrupt("manifest table number");
    }
    if (next.values.contains(table.number) || !next.tables.emplace(table.number, table).second)
      return corrupt("manifest adds a table twice");
  }
  for (const std::uint64_t number : edit.removed_values) {
    if (next.values.erase(number) == 0) return corrupt("manifest removes a value table that is not there");
  }
  for (const ValueTableMeta& table : edit.added_values) {
    if (table.number >= next.next_number || next.tables.contains(table.number) ||
        !next.values.emplace(table.number, table).second)
      return corrupt("manifest value table number");
  }
  if (!edit.added.empty() && !disjoint(next.in_order())) return corrupt("manifest tables overlap");
  if (!edit.snapshot && (next.flushed < flushed || next.log_index < log_index || next.cleared < cleared ||
                         next.last_sequence < last_sequence || next.next_number < next_number)) {
    return corrupt("manifest goes back");
  }
  *this = std::move(next);
  return {};
}

Edit ManifestState::snapshot() const {
  Edit edit{.snapshot = true,
            .partition = partition,
            .next_number = next_number,
            .flushed = flushed,
            .log_index = log_index,
            .cleared = cleared,
            .last_sequence = last_sequence,
            .added = {},
            .removed = {},
            .added_values = {},
            .removed_values = {}};
  for (const auto& [number, table] : tables) edit.added.push_back(table);
  for (const auto& [number, table] : values) edit.added_values.push_back(table);
  return edit;
}

std::vector<std::uint64_t> ManifestState::numbers() const {
  std::vector<std::uint64_t> result;
  for (const auto& [number, table] : tables) result.push_back(number);
  for (const auto& [number, table] : values) result.push_back(number);
  std::ranges::sort(result);
  return result;
}

std::uint64_t ManifestState::file_bytes(std::uint64_t number) const {
  if (const auto table = tables.find(number); table != tables.end()) return table->second.file_bytes;
  return ValueFooter::file_bytes(values.at(number).data_bytes);
}

std::vector<const TableMeta*> ManifestState::in_order() const {
  std::vector<const TableMeta*> result;
  result.reserve(tables.size());
  for (const auto& [number, table] : tables) result.push_back(&table);
  std::ranges::sort(result, [](const TableMeta* a, const TableMeta* b) {
    if (a->level != b->level) return a->level < b->level;
    return a->run != b->run ? a->run > b->run : a->smallest_key < b->smallest_key;
  });
  return result;
}

}  // namespace ashlar::lsm

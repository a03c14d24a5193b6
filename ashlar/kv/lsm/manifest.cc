#include "ashlar/kv/lsm/manifest.h"

#include <algorithm>
#include <initializer_list>

#include "ashlar/base/endian.h"

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
};
constexpr std::uint64_t first_skippable_tag = 128;

class Writer {
 public:
  void number(std::uint64_t value) {
    std::byte buffer[varint_size_max];
    const std::byte* end = store_varint(buffer, value);
    out_.insert(out_.end(), static_cast<const std::byte*>(buffer), end);
  }
  void bytes(Bytes value) {
    number(value.size());
    out_.insert(out_.end(), value.begin(), value.end());
  }
  void field(Tag tag, std::initializer_list<std::uint64_t> numbers) {
    Writer inner;
    for (const std::uint64_t value : numbers) inner.number(value);
    field(tag, inner);
  }
  void field(Tag tag, const Writer& inner) {
    number(static_cast<std::uint64_t>(tag));
    bytes(inner.out_);
  }
  std::vector<std::byte> take() { return std::move(out_); }

 private:
  std::vector<std::byte> out_;
};

class Reader {
 public:
  Reader(Bytes bytes, ErrorPlace place)
      : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()), place_(place) {}

  bool at_end() const noexcept { return at_ == end_; }
  ErrorPlace place() const noexcept {
    return {.object = place_.object, .offset = place_.offset + static_cast<std::uint64_t>(at_ - begin_)};
  }
  Result<std::uint64_t> number() {
    std::uint64_t value = 0;
    const std::byte* after = load_varint(at_, end_, value);
    if (after == nullptr) return fail(Errc::corrupt, "manifest edit", place());
    at_ = after;
    return value;
  }
  Result<Bytes> bytes() {
    const std::uint64_t size = TRY(number());
    if (size > static_cast<std::uint64_t>(end_ - at_)) return fail(Errc::corrupt, "manifest edit", place());
    const Bytes value{at_, static_cast<std::size_t>(size)};
    at_ += size;
    return value;
  }
  Result<Sequence> sequence() { return Sequence{TRY(number())}; }

 private:
  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  ErrorPlace place_;
};

void encode_table(Writer& out, const TableMeta& table) {
  Writer inner;
  for (const std::uint64_t value :
       {std::uint64_t{table.level}, table.number, table.file_bytes, table.entries, table.tombstones,
        table.smallest_sequence.value, table.largest_sequence.value}) {
    inner.number(value);
  }
  inner.bytes(as_bytes(table.smallest_key));
  inner.bytes(as_bytes(table.largest_key));
  out.field(Tag::add_table, inner);
}

Result<TableMeta> decode_table(Reader& in) {
  TableMeta table;
  const std::uint64_t level = TRY(in.number());
  if (level >= level_count) return fail(Errc::corrupt, "manifest level", in.place());
  table.level = static_cast<unsigned>(level);
  table.number = TRY(in.number());
  table.file_bytes = TRY(in.number());
  table.entries = TRY(in.number());
  table.tombstones = TRY(in.number());
  table.smallest_sequence = TRY(in.sequence());
  table.largest_sequence = TRY(in.sequence());
  table.smallest_key = as_text(TRY(in.bytes()));
  table.largest_key = as_text(TRY(in.bytes()));
  if (table.smallest_key > table.largest_key || table.smallest_key.size() < kv::key_prefix_bytes) {
    return fail(Errc::corrupt, "manifest keys", in.place());
  }
  return table;
}

Result<> decode_field(std::uint64_t tag, Reader& in, Edit& edit) {
  switch (static_cast<Tag>(tag)) {
    case Tag::partition: edit.partition = TRY(in.number()); break;
    case Tag::next_number: edit.next_number = TRY(in.number()); break;
    case Tag::flushed: edit.flushed = TRY(in.sequence()); break;
    case Tag::log_index: edit.log_index = TRY(in.number()); break;
    case Tag::cleared: edit.cleared = TRY(in.sequence()); break;
    case Tag::add_table: edit.added.push_back(TRY(decode_table(in))); break;
    case Tag::remove_table: edit.removed.push_back(TRY(in.number())); break;
    case Tag::snapshot: edit.snapshot = true; break;
    case Tag::last_sequence: edit.last_sequence = TRY(in.sequence()); break;
    default:
      if (tag < first_skippable_tag)
        return fail(Errc::unsupported, "manifest of a newer version", in.place());
      return {};
  }
  if (!in.at_end()) return fail(Errc::corrupt, "manifest field", in.place());
  return {};
}

/// Whether tables of each level above 0 are disjoint.
bool disjoint(const std::map<std::uint64_t, TableMeta>& tables) {
  for (unsigned level = 1; level < level_count; ++level) {
    std::vector<const TableMeta*> sorted;
    for (const auto& [number, table] : tables) {
      if (table.level == level) sorted.push_back(&table);
    }
    std::ranges::sort(sorted, {}, &TableMeta::smallest_key);
    const auto overlap = [](const TableMeta* a, const TableMeta* b) {
      return a->largest_key >= b->smallest_key;
    };
    if (std::ranges::adjacent_find(sorted, overlap) != sorted.end()) return false;
  }
  return true;
}

}  // namespace

std::vector<std::byte> Edit::encode() const {
  Writer out;
  if (snapshot) out.field(Tag::snapshot, {});
  if (partition) out.field(Tag::partition, {*partition});
  if (next_number) out.field(Tag::next_number, {*next_number});
  if (flushed) out.field(Tag::flushed, {flushed->value});
  if (log_index) out.field(Tag::log_index, {*log_index});
  if (cleared) out.field(Tag::cleared, {cleared->value});
  if (last_sequence) out.field(Tag::last_sequence, {last_sequence->value});
  for (const std::uint64_t number : removed) out.field(Tag::remove_table, {number});
  for (const TableMeta& table : added) encode_table(out, table);
  return out.take();
}

Result<Edit> Edit::decode(Bytes bytes, ErrorPlace place) {
  Edit edit;
  Reader in(bytes, place);
  while (!in.at_end()) {
    const std::uint64_t tag = TRY(in.number());
    const Bytes field = TRY(in.bytes());
    Reader inner(field, {.object = place.object, .offset = in.place().offset - field.size()});
    TRY(decode_field(tag, inner, edit));
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
    if (table.number >= next.next_number) return corrupt("manifest table number");
    if (!next.tables.emplace(table.number, table).second) return corrupt("manifest adds a table twice");
  }
  if (!edit.added.empty() && !disjoint(next.tables)) return corrupt("manifest tables overlap");
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
            .removed = {}};
  for (const auto& [number, table] : tables) edit.added.push_back(table);
  return edit;
}

std::vector<const TableMeta*> ManifestState::level(unsigned wanted) const {
  std::vector<const TableMeta*> result;
  for (const auto& [number, table] : tables) {
    if (table.level == wanted) result.push_back(&table);
  }
  if (wanted == 0) {
    std::ranges::sort(result, std::ranges::greater{}, &TableMeta::largest_sequence);
  } else {
    std::ranges::sort(result, {}, &TableMeta::smallest_key);
  }
  return result;
}

}  // namespace ashlar::lsm

#include "ashlar/blob/device/volume_state.h"

#include <limits>

namespace ashlar::blob {

namespace {

enum Tag : std::uint64_t {
  tag_volume = 1,
  tag_clear = 2,
  tag_add_table = 3,
  tag_remove_table = 4,
  tag_add_segment = 5,
  tag_remove_segment = 6,
  tag_set_root = 7,
};
constexpr std::uint64_t number_max = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t log_max = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t unit_max = std::uint64_t{1} << 48;

void put(FieldWriter& out, const Extents& extents) {
  out.number(extents.size());
  for (const Extent& extent : extents) {
    out.number(extent.first);
    out.number(extent.units);
  }
}

Result<Extents> take_extents(FieldReader& in, std::uint64_t bytes) {
  const FieldReader before = in;
  const std::uint64_t count = TRY(in.number(in.left() / 2));
  Extents extents;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t first = TRY(in.number(unit_max)), units = TRY(in.number(unit_max));
    if (units == 0) return before.error();
    extents.push_back({first, units});
  }
  if (units_of(extents) < units_for(bytes)) return before.error();
  return extents;
}

void put_table(FieldWriter& out, std::uint64_t number, const StoredBlob& table) {
  FieldWriter inner;
  inner.number(number);
  inner.number(table.bytes);
  put(inner, table.extents);
  out.field(tag_add_table, inner);
}
void put_segment(FieldWriter& out, SegmentName name, const StoredBlob& segment) {
  FieldWriter inner;
  inner.number(name.log);
  inner.number(name.number);
  inner.number(segment.bytes);
  put(inner, segment.extents);
  out.field(tag_add_segment, inner);
}
void put_root(FieldWriter& out, std::uint32_t number, const StoredRoot& root) {
  FieldWriter inner;
  inner.number(number);
  inner.number(root.generation);
  inner.number(root.bytes);
  inner.number(root.checksum);
  put(inner, root.extents);
  out.field(tag_set_root, inner);
}

Result<> apply_table(VolumeState& state, FieldReader& in) {
  const std::uint64_t number = TRY(in.number());
  StoredBlob table{TRY(in.number()), {}};
  table.extents = TRY(take_extents(in, table.bytes));
  if (!state.tables.emplace(number, std::move(table)).second) return in.error();
  return {};
}
Result<> apply_segment(VolumeState& state, FieldReader& in) {
  const auto log = static_cast<std::uint32_t>(TRY(in.number(log_max)));
  const SegmentName name{log, TRY(in.number())};
  StoredBlob segment{TRY(in.number()), {}};
  segment.extents = TRY(take_extents(in, segment.bytes));
  if (!state.segments.emplace(name, std::move(segment)).second) return in.error();
  return {};
}
Result<> apply_root(VolumeState& state, FieldReader& in) {
  const auto number = static_cast<std::uint32_t>(TRY(in.number(log_max)));
  StoredRoot root;
  root.generation = TRY(in.number());
  root.bytes = TRY(in.number(root_bytes_max));
  root.checksum = static_cast<std::uint32_t>(TRY(in.number(log_max)));
  root.extents = TRY(take_extents(in, root.bytes));
  StoredRoot& now = state.roots[number];
  if (root.generation <= now.generation) return in.error();
  now = std::move(root);
  return {};
}

Result<> apply_field(VolumeState& state, std::uint64_t tag, FieldReader& in, VolumeNumber volume) {
  switch (tag) {
    case tag_volume:
      if (TRY(in.number()) != volume) return in.error();
      break;
    case tag_clear: state = VolumeState(); break;
    case tag_add_table: return apply_table(state, in);
    case tag_remove_table:
      if (state.tables.erase(TRY(in.number())) == 0) return in.error();
      break;
    case tag_add_segment: return apply_segment(state, in);
    case tag_remove_segment: {
      const auto log = static_cast<std::uint32_t>(TRY(in.number(log_max)));
      if (state.segments.erase({log, TRY(in.number(number_max))}) == 0) return in.error();
      break;
    }
    case tag_set_root: return apply_root(state, in);
    default:
      if (tag < first_skippable_tag) return in.error(Errc::unsupported);
  }
  return {};
}

}  // namespace

Result<> VolumeState::apply(Bytes edit, VolumeNumber volume, ErrorPlace place) {
  FieldReader in(edit, "volume edit", place);
  while (!in.at_end()) {
    auto field = TRY(in.field());
    TRY(apply_field(*this, field.tag, field.content, volume));
    if (field.tag < first_skippable_tag && !field.content.at_end()) return field.content.error();
  }
  return {};
}

std::vector<std::byte> VolumeState::snapshot(VolumeNumber volume) const {
  FieldWriter out;
  out.field(tag_clear, {});
  out.field(tag_volume, {volume});
  for (const auto& [number, table] : tables) put_table(out, number, table);
  for (const auto& [name, segment] : segments) put_segment(out, name, segment);
  for (const auto& [number, root] : roots) put_root(out, number, root);
  return out.take();
}

std::vector<std::byte> edit_add_table(std::uint64_t number, const StoredBlob& table) {
  FieldWriter out;
  put_table(out, number, table);
  return out.take();
}
std::vector<std::byte> edit_remove_table(std::uint64_t number) {
  FieldWriter out;
  out.field(tag_remove_table, {number});
  return out.take();
}
std::vector<std::byte> edit_add_segment(SegmentName name, const StoredBlob& segment) {
  FieldWriter out;
  put_segment(out, name, segment);
  return out.take();
}
std::vector<std::byte> edit_remove_segment(SegmentName name) {
  FieldWriter out;
  out.field(tag_remove_segment, {name.log, name.number});
  return out.take();
}
std::vector<std::byte> edit_set_root(std::uint32_t number, const StoredRoot& root) {
  FieldWriter out;
  put_root(out, number, root);
  return out.take();
}

}  // namespace ashlar::blob

#include "ashlar/kv/root_record.h"

#include "ashlar/base/checksum.h"
#include "ashlar/base/endian.h"
#include "ashlar/base/fields.h"

namespace ashlar::kv {

namespace {

// CRC32C (u32) of all that follows, then magic (u32), version (u32), bytes of fields (u32), fields.
constexpr std::size_t header_bytes = 16;
constexpr std::uint32_t magic = 0x31445241;  // "ARD1"
constexpr const char* where = "root record";

enum class Tag : std::uint64_t {
  directory_id = 1,
  created = 2,
  engine = 3,
  partitions = 4,
  slot_runs = 5,
  boundaries = 6,
  merge_operator = 7,
  family = 8,
};

void put(FieldWriter& out, Tag tag, const FieldWriter& inner) {
  out.field(static_cast<std::uint64_t>(tag), inner);
}

/// The slot map as runs of equal partitions: (slots, partition)…
FieldWriter encode_slot_map(const std::vector<PartitionId>& map) {
  FieldWriter out;
  for (std::size_t slot = 0; slot < map.size();) {
    std::size_t end = slot + 1;
    while (end < map.size() && map[end] == map[slot]) ++end;
    out.number(end - slot);
    out.number(map[slot].value);
    slot = end;
  }
  return out;
}

Result<std::vector<PartitionId>> decode_slot_map(FieldReader& in) {
  std::vector<PartitionId> map;
  map.reserve(slot_count);
  while (!in.at_end()) {
    const std::uint64_t slots = TRY(in.number(slot_count - map.size()));
    const std::uint64_t partition = TRY(in.number(partition_count_max - 1));
    map.insert(map.end(), slots, PartitionId{static_cast<std::uint16_t>(partition)});
  }
  return map;
}

FieldWriter encode_family(const FamilyRecord& record) {
  FieldWriter out;
  out.number(record.family.number);
  out.number(record.dropped ? 1 : 0);
  out.bytes(as_bytes(record.family.name));
  out.bytes(as_bytes(record.family.options.merge_operator));
  out.number(record.family.options.ttl_ms);
  return out;
}

Result<FamilyRecord> decode_family(FieldReader& in) {
  FamilyRecord record;
  record.family.number = static_cast<std::uint8_t>(TRY(in.number(family_count_max - 1)));
  record.dropped = TRY(in.number(1)) == 1;
  record.family.name = as_text(TRY(in.bytes()));
  record.family.options.merge_operator = as_text(TRY(in.bytes()));
  record.family.options.ttl_ms = TRY(in.number());
  if (record.family.name.empty() || record.family.name.size() > family_name_bytes_max) return in.error();
  return record;
}

/// No number twice, and no name twice among those that are not dropped.
bool are_distinct(const std::vector<FamilyRecord>& records) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (records[i].family.number == records[j].family.number) return false;
      const bool both_live = !records[i].dropped && !records[j].dropped;
      if (both_live && records[i].family.name == records[j].family.name) return false;
    }
  }
  return true;
}

struct Fields {
  RootRecord record;
  std::uint64_t scheme = 0;
  std::uint64_t partitions = 0;
  std::vector<PartitionId> map;
  std::vector<std::string> boundaries;
};

Result<> decode_field(std::uint64_t tag, FieldReader& in, Fields& out) {
  switch (static_cast<Tag>(tag)) {
    case Tag::directory_id: out.record.directory_id = TRY(in.number()); break;
    case Tag::created: out.record.created_ms = TRY(in.number()); break;
    case Tag::engine: out.record.engine = as_text(TRY(in.bytes())); break;
    case Tag::partitions:
      out.scheme = TRY(in.number());
      out.partitions = TRY(in.number(partition_count_max));
      break;
    case Tag::slot_runs: out.map = TRY(decode_slot_map(in)); break;
    case Tag::boundaries:
      while (!in.at_end()) out.boundaries.emplace_back(as_text(TRY(in.bytes())));
      break;
    case Tag::merge_operator: out.record.merge_operator = as_text(TRY(in.bytes())); break;
    case Tag::family: out.record.families.push_back(TRY(decode_family(in))); break;
    default:
      if (tag < first_skippable_tag) return in.error(Errc::unsupported);
      return {};
  }
  if (!in.at_end()) return in.error();
  return {};
}

}  // namespace

std::vector<std::byte> RootRecord::encode() const {
  FieldWriter fields, id, created, name, scheme;
  id.number(directory_id);
  put(fields, Tag::directory_id, id);
  created.number(created_ms);
  put(fields, Tag::created, created);
  name.bytes(as_bytes(engine));
  put(fields, Tag::engine, name);
  scheme.number(static_cast<std::uint64_t>(partitioner.scheme()));
  scheme.number(partitioner.partitions());
  put(fields, Tag::partitions, scheme);
  if (partitioner.scheme() == Partitioner::Scheme::hash) {
    put(fields, Tag::slot_runs, encode_slot_map(partitioner.slot_map()));
  } else {
    FieldWriter boundaries;
    for (const std::string& boundary : partitioner.boundaries()) boundaries.bytes(as_bytes(boundary));
    put(fields, Tag::boundaries, boundaries);
  }
  if (!merge_operator.empty()) {
    FieldWriter operator_name;
    operator_name.bytes(as_bytes(merge_operator));
    put(fields, Tag::merge_operator, operator_name);
  }
  for (const FamilyRecord& record : families) put(fields, Tag::family, encode_family(record));
  const std::vector<std::byte> content = fields.take();
  std::vector<std::byte> out(header_bytes + content.size());
  store_le(out.data() + 4, magic);
  store_le(out.data() + 8, format_version);
  store_le(out.data() + 12, static_cast<std::uint32_t>(content.size()));
  std::memcpy(out.data() + header_bytes, content.data(), content.size());
  store_le(out.data(), crc32c(Bytes(out).subspan(4)));
  return out;
}

Result<RootRecord> RootRecord::decode(Bytes bytes) {
  if (bytes.size() < header_bytes || load_le<std::uint32_t>(bytes.data() + 4) != magic) {
    return fail(Errc::corrupt, where);
  }
  const std::uint32_t size = load_le<std::uint32_t>(bytes.data() + 12);
  if (size > bytes.size() - header_bytes) return fail(Errc::corrupt, where, {.offset = 12});
  if (load_le<std::uint32_t>(bytes.data()) != crc32c(bytes.subspan(4, header_bytes - 4 + size))) {
    return fail(Errc::corrupt, where);
  }
  if (load_le<std::uint32_t>(bytes.data() + 8) != format_version)
    return fail(Errc::unsupported, where, {.offset = 8});

  Fields fields;
  FieldReader in(bytes.subspan(header_bytes, size), where, {.offset = header_bytes});
  while (!in.at_end()) {
    auto field = TRY(in.field());
    TRY(decode_field(field.tag, field.content, fields));
  }
  if (!are_distinct(fields.record.families)) return fail(Errc::corrupt, "root record: column families");
  Result<Partitioner> partitioner = fail(Errc::unsupported, "partitioner");
  if (fields.scheme == static_cast<std::uint64_t>(Partitioner::Scheme::hash)) {
    partitioner = Partitioner::hashed(static_cast<std::uint32_t>(fields.partitions), std::move(fields.map));
  } else if (fields.scheme == static_cast<std::uint64_t>(Partitioner::Scheme::range)) {
    partitioner = Partitioner::ranged(std::move(fields.boundaries));
  }
  if (!partitioner && partitioner.error().code == Errc::invalid) return fail(Errc::corrupt, where);
  fields.record.partitioner = TRY(std::move(partitioner));
  if (fields.record.partitioner.partitions() != fields.partitions) return fail(Errc::corrupt, where);
  return std::move(fields.record);
}

}  // namespace ashlar::kv

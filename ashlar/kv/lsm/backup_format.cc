#include "ashlar/kv/lsm/backup_format.h"

#include <cstring>

#include "ashlar/base/endian.h"
#include "ashlar/base/fields.h"

namespace ashlar::lsm {

namespace {

constexpr char magic[] = {'A', 'B', 'k', '1'};
constexpr std::uint64_t record_payload_max = std::uint64_t{1} << 30;
constexpr std::uint32_t crc_max = ~std::uint32_t{0};

enum RepositoryTag : std::uint8_t { tag_repository = 1, tag_generation = 2 };
enum CatalogueTag : std::uint8_t { tag_root = 1, tag_partition = 2, tag_table = 3 };

void put(FieldWriter& out, const BackupBlob& blob) {
  out.number(blob.number);
  out.number(blob.end.bytes);
  out.number(blob.end.crc);
}
Result<BackupBlob> take_blob(FieldReader& in) {
  BackupBlob blob;
  blob.number = TRY(in.number());
  blob.end.bytes = TRY(in.number());
  blob.end.crc = static_cast<std::uint32_t>(TRY(in.number(crc_max)));
  return blob;
}

Result<BackupGeneration> take_generation(FieldReader& in) {
  BackupGeneration generation;
  generation.number = TRY(in.number());
  generation.created_ms = TRY(in.number());
  generation.directory_id = TRY(in.number());
  generation.at = Sequence{TRY(in.number())};
  generation.tables = TRY(in.number());
  generation.table_bytes = TRY(in.number());
  generation.added_bytes = TRY(in.number());
  generation.catalogue = TRY(take_blob(in));
  return generation;
}

Result<> take_partition(BackupCatalogue& catalogue, FieldReader& in) {
  const std::uint64_t id = TRY(in.number());
  if (id != catalogue.partitions.size()) return in.error();
  const Bytes manifest = TRY(in.bytes());
  BackupCatalogue::Partition& partition = catalogue.partitions.emplace_back();
  TRY(partition.state.apply(TRY(Edit::decode(manifest, {})), {}));
  partition.records = TRY(take_blob(in));
  return {};
}

Result<> take_table(BackupCatalogue& catalogue, FieldReader& in) {
  if (catalogue.partitions.empty()) return in.error();
  BackupCatalogue::Partition& partition = catalogue.partitions.back();
  const std::uint64_t number = TRY(in.number());
  if (!partition.state.tables.contains(number) && !partition.state.values.contains(number)) return in.error();
  partition.tables[number] = TRY(take_blob(in));
  return {};
}

}  // namespace

std::vector<std::byte> RepositoryRecord::encode() const {
  FieldWriter out;
  out.field(tag_repository, {id, next_number, next_generation});
  for (const BackupGeneration& generation : generations) {
    FieldWriter inner;
    for (const std::uint64_t value :
         {generation.number, generation.created_ms, generation.directory_id, generation.at.value,
          generation.tables, generation.table_bytes, generation.added_bytes})
      inner.number(value);
    put(inner, generation.catalogue);
    out.field(tag_generation, inner);
  }
  std::vector<std::byte> bytes(sizeof magic);
  std::memcpy(bytes.data(), magic, sizeof magic);
  const std::vector<std::byte> fields = out.take();
  bytes.insert(bytes.end(), fields.begin(), fields.end());
  return bytes;
}

Result<RepositoryRecord> RepositoryRecord::decode(Bytes bytes) {
  if (bytes.size() < sizeof magic || std::memcmp(bytes.data(), magic, sizeof magic) != 0)
    return fail(Errc::invalid, "this is no backup repository");
  RepositoryRecord record;
  FieldReader in(bytes.subspan(sizeof magic), "backup repository", {.offset = sizeof magic});
  while (!in.at_end()) {
    auto field = TRY(in.field());
    switch (field.tag) {
      case tag_repository:
        record.id = TRY(field.content.number());
        record.next_number = TRY(field.content.number());
        record.next_generation = TRY(field.content.number());
        break;
      case tag_generation: record.generations.push_back(TRY(take_generation(field.content))); break;
      default:
        if (field.tag < first_skippable_tag) return field.content.error(Errc::unsupported);
    }
  }
  return record;
}

std::vector<std::byte> BackupCatalogue::encode() const {
  FieldWriter out;
  FieldWriter whole_root;
  whole_root.bytes(root.encode());
  out.field(tag_root, whole_root);
  for (std::size_t id = 0; id < partitions.size(); ++id) {
    const Partition& partition = partitions[id];
    FieldWriter inner;
    inner.number(id);
    inner.bytes(partition.state.snapshot().encode());
    put(inner, partition.records);
    out.field(tag_partition, inner);
    for (const auto& [number, blob] : partition.tables) {
      FieldWriter table;
      table.number(number);
      put(table, blob);
      out.field(tag_table, table);
    }
  }
  return out.take();
}

Result<BackupCatalogue> BackupCatalogue::decode(Bytes bytes, ErrorPlace place) {
  BackupCatalogue catalogue;
  FieldReader in(bytes, "backup catalogue", place);
  bool has_root = false;
  while (!in.at_end()) {
    auto field = TRY(in.field());
    switch (field.tag) {
      case tag_root:
        catalogue.root = TRY(kv::RootRecord::decode(TRY(field.content.bytes())));
        has_root = true;
        break;
      case tag_partition: TRY(take_partition(catalogue, field.content)); break;
      case tag_table: TRY(take_table(catalogue, field.content)); break;
      default:
        if (field.tag < first_skippable_tag) return field.content.error(Errc::unsupported);
    }
  }
  if (!has_root || catalogue.partitions.size() != catalogue.root.partitioner.partitions()) return in.error();
  for (const Partition& partition : catalogue.partitions) {
    if (partition.tables.size() != partition.state.tables.size() + partition.state.values.size())
      return in.error();
  }
  return catalogue;
}

std::vector<std::byte> encode_record_header(const wal::RecordHeader& header, std::uint64_t payload_bytes) {
  FieldWriter out;
  for (const std::uint64_t value : {static_cast<std::uint64_t>(header.type), std::uint64_t{header.stream},
                                    header.term, header.sequence, payload_bytes})
    out.number(value);
  return out.take();
}

Result<bool> RecordParser::next(wal::RecordHeader& header, Bytes& payload, ErrorPlace place) {
  const Bytes rest = Bytes(buffer_).subspan(at_);
  std::uint64_t values[5];
  const std::byte* at = rest.data();
  const std::byte* const end = at + rest.size();
  bool whole = true;
  for (std::uint64_t& value : values) {
    at = whole ? load_varint(at, end, value) : nullptr;
    whole = at != nullptr;
  }
  if (whole) {
    const auto type = static_cast<wal::RecordType>(values[0]);
    if (values[0] > 255 || values[1] > ~std::uint32_t{0} || values[4] > record_payload_max)
      return fail(Errc::corrupt, "backup record", place);
    whole = static_cast<std::uint64_t>(end - at) >= values[4];
    header = {.type = type,
              .stream = static_cast<std::uint32_t>(values[1]),
              .term = values[2],
              .sequence = values[3]};
    payload = Bytes(at, whole ? values[4] : 0);
  } else if (rest.size() >= 5 * varint_size_max) {
    return fail(Errc::corrupt, "backup record", place);
  }
  if (whole) {
    at_ = static_cast<std::size_t>(at - buffer_.data()) + values[4];
    return true;
  }
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(at_));
  at_ = 0;
  return false;
}

}  // namespace ashlar::lsm

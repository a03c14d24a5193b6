/// The first byte says what the others are: a repository's record, a catalogue, or a blob of log records that
/// comes in pieces. Records that decode encode to what decodes to the same.

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "ashlar/kv/lsm/backup_format.h"

using namespace ashlar;
using namespace ashlar::lsm;

namespace {

constexpr ErrorPlace place{.object = 1, .offset = 2};

template <class Record, class... Place>
void check_record(Bytes input, Place... where) {
  const auto record = Record::decode(input, where...);
  if (!record) return;
  const auto again = Record::decode(record->encode(), where...);
  if (!again || again->encode() != record->encode()) std::abort();
}

/// However the blob is cut into pieces, its records are the same and lie within it.
void check_records(Bytes input, std::size_t piece) {
  RecordParser parser;
  std::size_t bytes = 0, given = 0;
  for (;;) {
    wal::RecordHeader header{};
    Bytes payload;
    const auto more = parser.next(header, payload, place);
    if (!more) {
      if (more.error().code != Errc::corrupt) std::abort();
      return;
    }
    if (*more) {
      bytes += payload.size() + 5;  // at least, with its header
      if (bytes > given) std::abort();
      continue;
    }
    if (given == input.size()) return;
    const std::size_t count = std::min(piece, input.size() - given);
    parser.add(input.subspan(given, count));
    given += count;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes input{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  switch (data[0] % 3) {
    case 0: check_record<RepositoryRecord>(input); break;
    case 1: check_record<BackupCatalogue>(input, place); break;
    default: check_records(input, std::size_t{1} + data[0] / 3u); break;
  }
  return 0;
}

/// Any bytes are records or an error with a place; what is read is written and read again as the same.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "ashlar/app/record_format.h"

using namespace ashlar;
using namespace ashlar::app;

namespace {

bool read(RecordFormat format, const std::string& text, std::vector<Record>& records) {
  std::size_t at = 0;
  const auto reader = read_records(format, [&](MutableBytes into) -> Result<std::size_t> {
    const std::size_t count = std::min(into.size(), text.size() - at);
    if (count != 0) std::memcpy(into.data(), text.data() + at, count);
    at += count;
    return count;
  });
  for (Record record;;) {
    const auto more = reader->next(record);
    if (!more && (more.error().line == 0 || more.error().column == 0 || more.error().why.empty()))
      std::abort();
    if (!more || !*more) return more.has_value();
    records.push_back(record);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const RecordFormat format = data[0] % 2 == 0 ? RecordFormat::csv : RecordFormat::jsonl;
  std::vector<Record> records, again;
  (void)read(format, std::string(reinterpret_cast<const char*>(data) + 1, size - 1), records);
  for (const RecordFormat to : {RecordFormat::csv, RecordFormat::jsonl}) {
    std::string text(header_of(to));
    for (const Record& record : records) append_record(text, to, record);
    again.clear();
    if (!read(to, text, again) || again != records) std::abort();
  }
  return 0;
}

#include "ashlar/app/record_format.h"

#include <utility>

#include "ashlar/app/text_input.h"

namespace ashlar::app {

std::string_view header_of(RecordFormat format) noexcept {
  return format == RecordFormat::csv ? "family,key,value,expires_ms\r\n" : "";
}

void append_record(std::string& to, RecordFormat format, const Record& record) {
  format == RecordFormat::csv ? append_csv(to, record) : append_json_line(to, record);
}

std::unique_ptr<RecordReader> read_records(RecordFormat format, ReadBytes read) {
  return format == RecordFormat::csv ? read_csv(std::move(read)) : read_json_lines(std::move(read));
}

}  // namespace ashlar::app

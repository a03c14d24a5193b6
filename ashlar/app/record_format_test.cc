#include "ashlar/app/record_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "ashlar/app/base64.h"
#include "ashlar/base/random.h"
#include "ashlar/kv/key.h"

namespace ashlar::app {
namespace {

/// Hands a text out in pieces.
ReadBytes reader_of(const std::string& text, std::size_t piece = 1u << 20) {
  return [&text, piece, at = std::size_t{0}](MutableBytes into) mutable -> Result<std::size_t> {
    const std::size_t count = std::min({into.size(), piece, text.size() - at});
    if (count != 0) std::memcpy(into.data(), text.data() + at, count);
    at += count;
    return count;
  };
}

struct Read {
  std::vector<Record> records;
  BadRecord bad;
};

Read read_all(RecordFormat format, const std::string& text, std::size_t piece = 1u << 20) {
  const auto reader = read_records(format, reader_of(text, piece));
  Read read;
  for (Record record;;) {
    const auto more = reader->next(record);
    if (!more) read.bad = more.error();
    if (!more || !*more) return read;
    read.records.push_back(record);
  }
}

std::string write_all(RecordFormat format, const std::vector<Record>& records) {
  std::string text(header_of(format));
  for (const Record& record : records) append_record(text, format, record);
  return text;
}

constexpr RecordFormat formats[] = {RecordFormat::csv, RecordFormat::jsonl};

TEST(RecordFormat, AnyBytesComeBack) {
  std::string every;
  for (int byte = 0; byte < 256; ++byte) every += static_cast<char>(byte);
  std::vector<Record> records{{"", "plain", "text", 0},
                              {"sessions", "a,b", "say \"x\"\r\nand go on", 1'700'000'000'000},
                              {"", every, every + every, 1},
                              {"", "", "", 0},
                              {"", "gr\xc3\xbc\xc3\x9f", "\xf0\x9f\x98\x80", ~std::uint64_t{0}},
                              {"", "\"", ",", 0},
                              {"", "\xed\xa0\x80", "\xc0\xaf", 0}};
  Random random(7);
  for (int i = 0; i < 200; ++i) {
    Record& record = records.emplace_back();
    for (std::uint64_t n = random.below(20); n != 0; --n)
      record.key += "a,\"\r\n\\{\x80\xff\0"[random.below(11)];
    for (std::uint64_t n = random.below(40); n != 0; --n)
      record.value += static_cast<char>(random.below(256));
    record.expires_ms = random.below(2) * random.below(1000);
  }
  for (const RecordFormat format : formats) {
    const std::string text = write_all(format, records);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 20}) {
      const Read read = read_all(format, text, piece);
      EXPECT_EQ(read.bad.why, "");
      EXPECT_EQ(read.records, records);
    }
  }
}

TEST(RecordFormat, CsvOfOthers) {
  const Read read = read_all(RecordFormat::csv, "value,key\n1,a\n\n\"2\"\"\",\"b\nc\"\n3,d");
  EXPECT_EQ(read.bad.why, "");
  EXPECT_EQ(read.records,
            (std::vector<Record>{{"", "a", "1", 0}, {"", "b\nc", "2\"", 0}, {"", "d", "3", 0}}));
}

TEST(RecordFormat, JsonOfOthers) {
  const Read read = read_all(RecordFormat::jsonl,
                             " { \"value\" : \"\\u00e4\\n\", \"key\":\"a\" }\r\n\n"
                             "{\"key_base64\":\"/w==\",\"expires_ms\":5}\n{\"key\":\"last\"}");
  EXPECT_EQ(read.bad.why, "");
  EXPECT_EQ(read.records,
            (std::vector<Record>{{"", "a", "\xc3\xa4\n", 0}, {"", "\xff", "", 5}, {"", "last", "", 0}}));
}

struct Wrong {
  std::string text;
  std::size_t before;  // records that are whole
  std::uint64_t line, column;
  std::string why;
};

void expect_wrong(RecordFormat format, const Wrong& wrong) {
  const Read read = read_all(format, wrong.text);
  EXPECT_EQ(read.records.size(), wrong.before) << wrong.text;
  EXPECT_EQ(read.bad.line, wrong.line) << wrong.text << ": " << read.bad.why;
  EXPECT_EQ(read.bad.column, wrong.column) << wrong.text << ": " << read.bad.why;
  EXPECT_NE(read.bad.why.find(wrong.why), std::string::npos) << read.bad.why;
}

TEST(RecordFormat, BadCsvHasItsPlace) {
  for (const Wrong& wrong :
       {Wrong{"name,value\n", 0, 1, 1, "names the columns"}, Wrong{"key,key\n", 0, 1, 5, "names the columns"},
        Wrong{"value\n1\n", 0, 1, 1, "no column 'key'"}, Wrong{"key,value\na\n", 0, 2, 2, "its 2 fields"},
        Wrong{"key,value\na,b\nc,d,e\n", 1, 3, 4, "more than 2 fields"},
        Wrong{"key,value\na,\"b\n\"\"c", 0, 3, 4, "inside of quotes"},
        Wrong{"key,value\na,\"b\"c\n", 0, 2, 6, "more than 2"},
        Wrong{"key,value\n\"a\"b,c\n", 0, 2, 4, "behind a quote"},
        Wrong{"key,value\na,b\"\n", 0, 2, 4, "a quote in a field"},
        Wrong{"key,expires_ms\na,soon\n", 0, 2, 3, "expires_ms"},
        Wrong{"key\n" + std::string(kv::user_key_bytes_max + 1, 'k') + "\n", 0, 2, kv::user_key_bytes_max + 1,
              "65532 bytes"}})
    expect_wrong(RecordFormat::csv, wrong);
}

TEST(RecordFormat, BadJsonHasItsPlace) {
  for (const Wrong& wrong :
       {Wrong{"{\"key\":\"a\"}\n[1]\n", 1, 2, 1, "neither text nor number"},
        Wrong{"{\"key\":\"a\"", 0, 1, 10, "no JSON"}, Wrong{"{\"value\":\"a\"}\n", 0, 1, 1, "names no key"},
        Wrong{"{\"key\":\"a\",\"key\":\"b\"}", 0, 1, 16, "twice"},
        Wrong{"{\"key\":\"a\",\"key_base64\":\"aa==\"}", 0, 1, 23, "twice"},
        Wrong{"{\"key\":1}", 0, 1, 9, "a number where text"},
        Wrong{"{\"kye\":\"a\"}", 0, 1, 6, "a member that is none"},
        Wrong{"{\"key_base64\":\"=\"}", 0, 1, 17, "no base64"},
        Wrong{"{\"key\":\"a\",\"expires_ms\":-1}", 0, 1, 27, "negative"},
        Wrong{"{\"key\":\"a\xff\"}", 0, 1, 10, "no JSON"}, Wrong{"{\"key\":\"a\"} x", 0, 1, 13, "no JSON"}})
    expect_wrong(RecordFormat::jsonl, wrong);
}

TEST(RecordFormat, AnErrorOfReadingIsSaid) {
  for (const RecordFormat format : formats) {
    const auto reader =
        read_records(format, [](MutableBytes) -> Result<std::size_t> { return fail_errno(EIO, "read"); });
    Record record;
    const auto more = reader->next(record);
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().line, 0u);
    EXPECT_NE(more.error().why.find("EIO"), std::string::npos);
  }
}

TEST(Base64, KnownAndStrict) {
  for (const auto& [bytes, text] : {std::pair<std::string, std::string>{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foobar", "Zm9vYmFy"},
                                    {"\xff\xfe", "//4="}}) {
    EXPECT_EQ(encode_base64(bytes), text);
    EXPECT_EQ(decode_base64(text), bytes);
  }
  for (const char* text : {"Zg", "Zg=", "Z===", "Zh==", "Zm9=", "Zm9v\n", "Zg==Zg==", "Z-_="})
    EXPECT_EQ(decode_base64(text), std::nullopt) << text;
}

}  // namespace
}  // namespace ashlar::app

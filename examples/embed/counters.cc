/// Counts without reading: column families and merge operators, one of the program's own.

#include <ashlar/embed/ashlar.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

std::string number(std::int64_t value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);  // little-endian, as add64 has it
  return bytes;
}
std::int64_t number_of(const std::string& bytes) {
  std::int64_t value = 0;
  if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

/// Keeps the last three operands, with a comma between.
class LastThree final : public ashlar::MergeOperator {
 public:
  std::string_view name() const noexcept override { return "last-three"; }
  ashlar::Result<> merge(std::string_view, std::optional<std::string_view> base,
                         std::span<const std::string_view> operands, std::string& result) const override {
    result = base.value_or("");
    for (const std::string_view operand : operands) {
      if (!result.empty()) result += ',';
      result += operand;
    }
    std::size_t from = result.size();
    for (int kept = 0; kept < 3 && from != std::string::npos; ++kept)
      from = from == 0 ? std::string::npos : result.rfind(',', from - 1);
    if (from != std::string::npos) result.erase(0, from + 1);
    return {};
  }
};

}  // namespace

int main(int argc, char** argv) {
  std::string message;
  auto opened = ashlar::Db::open(argc > 1 ? argv[1] : "./counters",
                                 {.merge_operators = {std::make_shared<LastThree>()}}, &message);
  if (!opened) {
    std::printf("%s\n", message.c_str());
    return 1;
  }
  ashlar::Db db = *std::move(opened);
  const auto visits = db.create_family("visits", {.merge_operator = "add64"});
  const auto recent =
      db.create_family("recent", {.merge_operator = "last-three", .ttl = std::chrono::hours(24)});
  if (!visits || !recent) return 1;

  for (const char* page : {"/", "/docs", "/", "/docs/embedding", "/"}) {
    ashlar::WriteBatch batch;  // of two families, yet one record of the log
    batch.merge(page, number(1), *visits);
    batch.merge("pages", page, *recent);
    if (!db.write(batch)) return 1;
  }
  auto it = db.iterate({.prefix = "/", .read = {.family = *visits}});
  if (!it) return 1;
  for (bool more = it->seek_first(); more; more = it->next())
    std::printf("%s: %lld\n", std::string(it->key()).c_str(),
                static_cast<long long>(number_of(std::string(it->value()))));
  std::printf("recent: %s\n", db.reader({.family = *recent}).get("pages").value().value_or("none").c_str());

  if (!db.erase_range("/docs", "/docs0", {.family = *visits})) return 1;  // '0' comes after '/'
  std::printf("visits of /docs: %s\n",
              db.reader({.family = *visits}).contains("/docs").value() ? "some" : "none");
  return db.close() ? 0 : 1;
}

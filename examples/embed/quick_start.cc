/// Opens a database, writes durably, reads back.

#include <ashlar/embed/ashlar.h>

#include <cstdio>

int main(int argc, char** argv) {
  std::string message;
  auto opened = ashlar::Db::open(argc > 1 ? argv[1] : "./quick-start", {}, &message);
  if (!opened) {
    std::printf("%s\n", message.c_str());
    return 1;
  }
  ashlar::Db db = *std::move(opened);

  // On the disk when it returns. Any thread may call.
  if (auto done = db.put("greeting", "hello"); !done) {
    std::printf("%s\n", done.error().to_string().c_str());
    return 1;
  }

  // Together or not at all.
  ashlar::WriteBatch batch;
  batch.put("a", "1");
  batch.put("b", "2");
  batch.erase("greeting");
  if (!db.write(batch)) return 1;

  for (const char* key : {"a", "b", "greeting"}) {
    const auto value = db.get(key);
    if (!value) return 1;
    std::printf("%s: %s\n", key, *value ? (*value)->c_str() : "there is none");
  }

  // A thread's own reader finds what is in memory without a message, a lock or an allocation.
  const ashlar::Reader reader = db.reader();
  ashlar::PinnedValue value;
  if (reader.get("a", value).value_or(false)) std::printf("a, in place: %.1s\n", value.view().data());
  value.reset();  // before the database is closed

  return db.close() ? 0 : 1;
}

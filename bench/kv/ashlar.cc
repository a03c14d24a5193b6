/// Ashlar as programs with plain threads call it: its public API, in its defaults.

#include "ashlar/embed/ashlar.h"

#include <utility>
#include <vector>

#include "ashlar/base/units.h"
#include "bench/kv/engine.h"

namespace ashlar::bench {

namespace {

class AshlarSession final : public Session {
 public:
  explicit AshlarSession(Db& database) : database_(database), reader_(database.reader()) {}

  Result<std::size_t> get(std::string_view key) override {
    PinnedValue value;
    if (!TRY(reader_.get(key, value))) return 0;
    return value.view().size();
  }
  Result<std::size_t> multi_get(std::span<const std::string_view> keys) override {
    std::size_t found = 0;
    for (const auto& value : TRY(database_.multi_get(keys))) found += value ? 1 : 0;
    return found;
  }
  Result<> put(std::span<const Pair> pairs, bool durable) override {
    const WriteOptions options{.durability = durable ? Durability::durable : Durability::periodic};
    if (pairs.size() == 1) return database_.put(pairs[0].key, pairs[0].value, options);
    WriteBatch batch;
    for (const Pair& pair : pairs) batch.put(pair.key, pair.value);
    return database_.write(batch, options);
  }
  Result<std::uint64_t> scan(std::string_view first, std::uint64_t count, bool backward) override {
    Iterator at = TRY(database_.iterate());
    std::uint64_t entries = 0;
    for (bool more = backward ? at.seek_backward(first) : at.seek(first); more && entries < count;
         more = backward ? at.previous() : at.next()) {
      entries += at.key().size() + at.value().size() != 0 ? 1 : 0;
    }
    TRY(at.status());
    return entries;
  }

 private:
  Db& database_;
  Reader reader_;
};

class AshlarEngine final : public Engine {
 public:
  explicit AshlarEngine(Db database) : database_(std::move(database)) {}
  std::unique_ptr<Session> session() override { return std::make_unique<AshlarSession>(database_); }
  Result<> settle() override { return database_.compact(); }
  Result<> flush() override { return database_.flush(); }
  Result<> sync() override { return database_.sync(); }

 private:
  Db database_;
};

Result<std::unique_ptr<Engine>> open_ashlar(const EngineKind&, const EngineOptions& options) {
  DbOptions ours;
  if (options.cache_bytes != 0)
    ours.settings.emplace_back("kv.cache-bytes", format_bytes(options.cache_bytes));
  return std::make_unique<AshlarEngine>(TRY(Db::open(options.directory + "/ashlar", ours)));
}

}  // namespace

void add_ashlar_engines(std::vector<EngineKind>& engines) {
  engines.push_back({.engine = "Ashlar",
                     .setup = "default",
                     .summary = "the blocking API, one shard",
                     .version = "",
                     .open = open_ashlar});
}

}  // namespace ashlar::bench

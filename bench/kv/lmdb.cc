/// LMDB: defaults (every commit durable), without sync where a case asks for no durability, and with a
/// writable map, which it documents as its fastest.

#include <lmdb.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/kv/engine.h"

namespace ashlar::bench {

namespace {

Result<> checked(int status, const char* where) {
  if (status == MDB_SUCCESS) return {};
  return fail(status == MDB_MAP_FULL ? Errc::no_space : Errc::io, where);
}

MDB_val view(std::string_view text) {
  return {.mv_size = text.size(), .mv_data = const_cast<char*>(text.data())};
}

/// Keeps a read transaction between its gets, renewed for each, as LMDB's manual advises.
class LmdbSession final : public Session {
 public:
  LmdbSession(MDB_env* environment, MDB_dbi database) : environment_(environment), database_(database) {}
  ~LmdbSession() override {
    if (reader_ != nullptr) mdb_txn_abort(reader_);
  }

  Result<std::size_t> get(std::string_view key) override {
    TRY(begin_read());
    MDB_val wanted = view(key), found{};
    const int status = mdb_get(reader_, database_, &wanted, &found);
    mdb_txn_reset(reader_);
    if (status == MDB_NOTFOUND) return 0;
    TRY(checked(status, "get of LMDB"));
    return found.mv_size;
  }
  Result<> put(std::span<const Pair> pairs, bool durable) override {
    MDB_txn* writer = nullptr;
    TRY(checked(mdb_txn_begin(environment_, nullptr, 0, &writer), "write of LMDB"));
    for (const Pair& pair : pairs) {
      MDB_val key = view(pair.key), value = view(pair.value);
      if (const int status = mdb_put(writer, database_, &key, &value, 0); status != MDB_SUCCESS) {
        mdb_txn_abort(writer);
        return checked(status, "put of LMDB");
      }
    }
    TRY(checked(mdb_txn_commit(writer), "commit of LMDB"));
    return durable ? checked(mdb_env_sync(environment_, 1), "sync of LMDB") : Result<>();
  }
  Result<std::uint64_t> scan(std::string_view first, std::uint64_t count, bool backward) override {
    TRY(begin_read());
    MDB_cursor* cursor = nullptr;
    TRY(checked(mdb_cursor_open(reader_, database_, &cursor), "scan of LMDB"));
    MDB_val key = view(first), value{};
    std::uint64_t entries = 0;
    int status = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (backward && status == MDB_NOTFOUND) status = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    for (; status == MDB_SUCCESS && entries < count;
         status = mdb_cursor_get(cursor, &key, &value, backward ? MDB_PREV : MDB_NEXT)) {
      entries += key.mv_size + value.mv_size != 0 ? 1 : 0;
    }
    mdb_cursor_close(cursor);
    mdb_txn_reset(reader_);
    if (status != MDB_NOTFOUND) TRY(checked(status, "scan of LMDB"));
    return entries;
  }

 private:
  Result<> begin_read() {
    if (reader_ == nullptr)
      return checked(mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &reader_), "read of LMDB");
    return checked(mdb_txn_renew(reader_), "read of LMDB");
  }

  MDB_env* environment_;
  MDB_dbi database_;
  MDB_txn* reader_ = nullptr;
};

/// Commits are made durable one by one by those who ask for it.
class LmdbEngine final : public Engine {
 public:
  ~LmdbEngine() override {
    if (environment_ != nullptr) mdb_env_close(environment_);
  }
  Result<> open(const EngineKind& kind, const EngineOptions& options) {
    const unsigned flags =
        MDB_NOSUBDIR | MDB_NOTLS | MDB_NOSYNC | (kind.setup == "writemap" ? MDB_WRITEMAP : 0u);
    const std::string path = options.directory + "/lmdb";
    TRY(checked(mdb_env_create(&environment_), "LMDB"));
    TRY(checked(mdb_env_set_mapsize(environment_, std::max<std::uint64_t>(options.map_bytes, 64u << 20)),
                "LMDB"));
    TRY(checked(mdb_env_set_maxreaders(environment_, options.sessions + 1), "LMDB"));
    TRY(checked(mdb_env_open(environment_, path.c_str(), flags, 0600), "open of LMDB"));
    MDB_txn* first = nullptr;
    TRY(checked(mdb_txn_begin(environment_, nullptr, 0, &first), "open of LMDB"));
    TRY(checked(mdb_dbi_open(first, nullptr, 0, &database_), "open of LMDB"));
    return checked(mdb_txn_commit(first), "open of LMDB");
  }

  std::unique_ptr<Session> session() override {
    return std::make_unique<LmdbSession>(environment_, database_);
  }
  Result<> settle() override { return sync(); }
  Result<> sync() override { return checked(mdb_env_sync(environment_, 1), "sync of LMDB"); }

 private:
  MDB_env* environment_ = nullptr;
  MDB_dbi database_ = 0;
};

Result<std::unique_ptr<Engine>> open_lmdb(const EngineKind& kind, const EngineOptions& options) {
  auto engine = std::make_unique<LmdbEngine>();
  TRY(engine->open(kind, options));
  return engine;
}

}  // namespace

void add_lmdb_engines(std::vector<EngineKind>& engines) {
  const auto version = fmt::format("LMDB {}.{}.{}", MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH);
  const auto add = [&](const char* setup, const char* summary) {
    engines.push_back({.engine = "LMDB",
                       .setup = setup,
                       .summary = summary,
                       .version = version,
                       .counts_allocations = false,
                       .open = open_lmdb});
  };
  add("default", "a read transaction renewed for each get; synced where durable");
  add("writemap", "the same over a writable map");
}

}  // namespace ashlar::bench

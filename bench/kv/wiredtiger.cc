/// WiredTiger as MongoDB and its manual configure it: a row store with string keys, logging on, checkpoints
/// by settle().

#include <wiredtiger.h>

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/kv/engine.h"

namespace ashlar::bench {

namespace {

constexpr const char* table_name = "table:bench";

Result<> checked(int status, const char* where) {
  if (status == 0) return {};
  return fail_errno(status > 0 ? status : EIO, where);
}

/// A session and a cursor, which are one thread's.
class WiredtigerSession final : public Session {
 public:
  explicit WiredtigerSession(WT_CONNECTION* connection) {
    opened_ = connection->open_session(connection, nullptr, nullptr, &session_);
    if (opened_ == 0)
      opened_ = session_->open_cursor(session_, table_name, nullptr, "overwrite=true", &cursor_);
  }
  ~WiredtigerSession() override {
    if (session_ != nullptr) session_->close(session_, nullptr);
  }

  Result<std::size_t> get(std::string_view key) override {
    TRY(checked(opened_, "session of WiredTiger"));
    set_key(key);
    const int status = cursor_->search(cursor_);
    if (status == WT_NOTFOUND) return 0;
    TRY(checked(status, "get of WiredTiger"));
    WT_ITEM value{};
    TRY(checked(cursor_->get_value(cursor_, &value), "get of WiredTiger"));
    const std::size_t bytes = value.size;
    TRY(checked(cursor_->reset(cursor_), "get of WiredTiger"));
    return bytes;
  }
  Result<> put(std::span<const Pair> pairs, bool durable) override {
    TRY(checked(opened_, "session of WiredTiger"));
    for (;;) {
      const int status = put_once(pairs, durable);
      if (status != WT_ROLLBACK)
        return checked(status, "put of WiredTiger");  // else: begin again, as it asks
    }
  }
  Result<std::uint64_t> scan(std::string_view first, std::uint64_t count, bool backward) override {
    TRY(checked(opened_, "session of WiredTiger"));
    set_key(first);
    int exact = 0;
    int status = cursor_->search_near(cursor_, &exact);
    const auto move = [&] { return backward ? cursor_->prev(cursor_) : cursor_->next(cursor_); };
    if (status == 0 && (backward ? exact > 0 : exact < 0)) status = move();
    std::uint64_t entries = 0;
    for (; status == 0 && entries < count; status = move()) {
      WT_ITEM key{}, value{};
      TRY(checked(cursor_->get_key(cursor_, &key), "scan of WiredTiger"));
      TRY(checked(cursor_->get_value(cursor_, &value), "scan of WiredTiger"));
      entries += key.size + value.size != 0 ? 1 : 0;
    }
    if (status != WT_NOTFOUND) TRY(checked(status, "scan of WiredTiger"));
    TRY(checked(cursor_->reset(cursor_), "scan of WiredTiger"));
    return entries;
  }

 private:
  void set_key(std::string_view key) {
    key_.data = key.data();
    key_.size = key.size();
    cursor_->set_key(cursor_, &key_);
  }
  int put_once(std::span<const Pair> pairs, bool durable) {
    int status = session_->begin_transaction(session_, nullptr);
    for (const Pair& pair : pairs) {
      if (status != 0) break;
      set_key(pair.key);
      WT_ITEM value{};
      value.data = pair.value.data();
      value.size = pair.value.size();
      cursor_->set_value(cursor_, &value);
      status = cursor_->insert(cursor_);
    }
    if (status == 0) return session_->commit_transaction(session_, durable ? "sync=on" : "sync=off");
    (void)session_->rollback_transaction(session_, nullptr);
    return status;
  }

  WT_SESSION* session_ = nullptr;
  WT_CURSOR* cursor_ = nullptr;
  WT_ITEM key_{};
  int opened_ = 0;
};

class WiredtigerEngine final : public Engine {
 public:
  ~WiredtigerEngine() override {
    if (connection_ != nullptr) connection_->close(connection_, nullptr);
  }
  Result<> open(const EngineKind& kind, const EngineOptions& options) {
    const std::uint64_t cache = options.direct             ? 16u << 20
                                : options.cache_bytes != 0 ? options.cache_bytes
                                                           : 256u << 20;
    const auto configuration = fmt::format(
        "create,cache_size={},session_max={},log=(enabled=true,file_max=64MB{}),transaction_sync=(enabled="
        "true,"
        "method=fsync){}{}",
        std::max<std::uint64_t>(cache, 8u << 20), options.sessions + 32,
        kind.setup == "tuned" ? ",prealloc=true,zero_fill=false" : "",
        options.direct ? ",direct_io=[data]" : "",
        kind.setup == "tuned" ? ",eviction=(threads_min=1,threads_max=4),checkpoint=(log_size=512MB)" : "");
    TRY(checked(wiredtiger_open(options.directory.c_str(), nullptr, configuration.c_str(), &connection_),
                "open of WiredTiger"));
    WT_SESSION* session = nullptr;
    TRY(checked(connection_->open_session(connection_, nullptr, nullptr, &session), "session of WiredTiger"));
    const int made =
        session->create(session, table_name, "key_format=u,value_format=u,access_pattern_hint=random");
    (void)session->close(session, nullptr);
    return checked(made, "table of WiredTiger");
  }

  std::unique_ptr<Session> session() override { return std::make_unique<WiredtigerSession>(connection_); }
  Result<> settle() override {
    WT_SESSION* session = nullptr;
    TRY(checked(connection_->open_session(connection_, nullptr, nullptr, &session), "session of WiredTiger"));
    const int status = session->checkpoint(session, nullptr);
    (void)session->close(session, nullptr);
    return checked(status, "checkpoint of WiredTiger");
  }
  Result<> sync() override {
    WT_SESSION* session = nullptr;
    TRY(checked(connection_->open_session(connection_, nullptr, nullptr, &session), "session of WiredTiger"));
    const int status = session->log_flush(session, "sync=on");
    (void)session->close(session, nullptr);
    return checked(status, "sync of WiredTiger");
  }

 private:
  WT_CONNECTION* connection_ = nullptr;
};

Result<std::unique_ptr<Engine>> open_wiredtiger(const EngineKind& kind, const EngineOptions& options) {
  auto engine = std::make_unique<WiredtigerEngine>();
  TRY(engine->open(kind, options));
  return engine;
}

}  // namespace

void add_wiredtiger_engines(std::vector<EngineKind>& engines) {
  const auto add = [&](const char* setup, const char* summary) {
    engines.push_back({.engine = "WiredTiger",
                       .setup = setup,
                       .summary = summary,
                       .version = WIREDTIGER_VERSION_STRING,
                       .counts_allocations = false,
                       .open = open_wiredtiger});
  };
  add("default", "row store, logged");
  add("tuned", "row store, logged, checkpoints by log size, preallocated log, eviction threads");
}

}  // namespace ashlar::bench

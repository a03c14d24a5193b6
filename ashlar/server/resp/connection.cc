#include "ashlar/server/resp/connection.h"

#include <algorithm>
#include <array>

#include "ashlar/runtime/sync/sleep.h"

namespace ashlar::resp {
namespace {

constexpr std::string_view too_many_clients = "ERR max number of clients reached";
constexpr std::string_view no_memory = "ERR out of memory: the memory cap is reached";
constexpr std::uint32_t clients_at_cap = 16;  // so many may come in any case: to look, and to delete
constexpr Duration memory_wait_step = std::chrono::milliseconds(1);
constexpr int memory_wait_steps = 1000;
constexpr std::string_view protected_text =
    "DENIED Ashlar is running in protected mode because no password is set. In this mode connections are "
    "accepted "
    "from this machine only. To connect from elsewhere, set resp-password, or, where the network is trusted, "
    "set "
    "resp-protected-mode to false.";

std::string text_of(const Result<Address>& address) {
  return address ? address->to_string() : std::string("?");
}

/// Runs a task's waits under a scope of its own.
class Under {
 public:
  explicit Under(CancelScope& scope) noexcept : outer_(Shard::current().context()) {
    Shard::current().set_context({&scope, outer_.share});
  }
  ~Under() { Shard::current().set_context(outer_); }
  Under(const Under&) = delete;
  Under& operator=(const Under&) = delete;

 private:
  TaskContext outer_;
};

}  // namespace

Connection::Connection(Service& service, Socket socket)
    : service_(service),
      socket_(std::move(socket)),
      pipeline_(service, session_),
      all_(Shard::current().context().cancel),
      waiting_(&all_) {
  session_.peer = text_of(socket_.peer());
  session_.local = text_of(Shard::current().backend().local_address(socket_.handle()));
  session_.kill = &all_;
  session_.drain = &waiting_;
  service_.enter(session_);
}

Connection::~Connection() {
  service_.buffered_bytes -= accounted_bytes_;
  Shard::current().memory().give(Purpose::connections, accounted_bytes_);
  service_.leave(session_);
}

Task<> Connection::run() {
  const Under scope(all_);
  ReceiveStream input(socket_);
  if (welcome()) {
    co_await converse(input);  // whatever ended it, there is nobody left to tell
  } else {
    co_await send_replies();
  }
  co_await input.stop();
}

/// Refuses whom the server may not serve; the reason is the reply.
bool Connection::welcome() {
  const RespOptions& options = service_.options();
  if (service_.cluster().clients.load(std::memory_order_relaxed) > options.clients_max) {
    pipeline_.fail(too_many_clients);
  } else if (const auto peer = socket_.peer();
             options.protected_mode && options.password.empty() && peer && !peer->loopback()) {
    pipeline_.fail(protected_text);
  } else if (service_.cluster().clients.load(std::memory_order_relaxed) > clients_at_cap &&
             Shard::current().memory().cap().full()) {
    pipeline_.fail(no_memory);
  } else {
    return true;
  }
  ++service_.stats().rejected_connections;
  return false;
}

Task<Result<>> Connection::converse(ReceiveStream& input) {
  while (!session_.close_after_reply && !service_.draining) {
    if (must_wait_for_memory()) CO_TRY(co_await wait_for_memory());
    CO_TRY(co_await receive(input));
    if (!within_limits()) co_return fail(Errc::too_large, "request");
  }
  co_return Result<>{};
}

/// One reception and the batch that is in it.
Task<Result<>> Connection::receive(ReceiveStream& input) {
  const bool big = parser_.wanted() > big_request_bytes && !partial_.empty();
  ReceivedBytes received;
  if (big) {
    CO_TRY(co_await receive_rest(input));
  } else {
    const Under scope(waiting_);
    received = CO_TRY(co_await input.next());
    if (received.empty()) co_return fail(Errc::closed, "receive");
    service_.stats().input_bytes += received.bytes().size();
  }
  session_.active_at = Shard::current().turn_time();
  co_return co_await run_batch(std::move(received));
}

/// More of a big request, straight into its buffer; in steps, so that memory follows what has arrived.
Task<Result<>> Connection::receive_rest(ReceiveStream& input) {
  const std::size_t step = std::min(parser_.wanted(), std::max(big_request_bytes, partial_.bytes().size()));
  const MutableBytes space = partial_.extend(step);
  if (!within_limits()) co_return fail(Errc::too_large, "request");
  const Under scope(waiting_);
  CO_TRY(co_await input.read_exact(space));
  service_.stats().input_bytes += step;
  co_return Result<>{};
}

/// Runs every whole request of what arrived, behind what was left before, and sends the replies. The buffer
/// goes back to its pool as soon as no command refers to it, and in any case before the client is waited for.
Task<Result<>> Connection::run_batch(ReceivedBytes received) {
  bool in_place = partial_.empty();
  if (!in_place) {
    partial_.append(received.bytes());
    received = ReceivedBytes();
  }
  MutableBytes unread = in_place ? received.bytes() : partial_.bytes();
  const auto keep_unread = [&] {
    if (in_place) {
      partial_.append(unread);
      received = ReceivedBytes();
    } else {
      partial_.keep_last(unread.size());
    }
    in_place = false;
    unread = partial_.bytes();
  };
  for (;;) {
    const Stop stop = run_some(unread);
    if (stop == Stop::alone) {
      co_await pipeline_.run_alone(parser_.arguments());
      unread = unread.subspan(parser_.consumed());
      if (Shard::current().should_yield()) co_await yield();
      if (pipeline_.reply_bytes() < reply_batch_bytes && !session_.close_after_reply) continue;
    }
    const bool over = stop == Stop::starved || session_.close_after_reply;
    const bool early = !pipeline_.pending();
    if (early) keep_unread();
    if (!pipeline_.settled()) co_await pipeline_.finish();
    if (!early) keep_unread();
    CO_TRY(co_await send_replies());
    if (over) co_return Result<>{};
    co_await yield();
  }
}

/// Runs requests for as long as nothing must be waited for.
Connection::Stop Connection::run_some(MutableBytes& unread) {
  parser_.set_limits({.bulk_bytes_max = static_cast<std::int64_t>(service_.options().bulk_bytes_max)});
  RequestGroup& group = service_.group();
  while (!session_.close_after_reply) {
    parser_.set_authenticated(session_.authenticated);
    const std::size_t ahead = session_.reply_mode == ReplyMode::on ? RequestGroup::requests_max : 1;
    const RequestParser::Status status = group.parse(parser_, unread, ahead);
    pipeline_.expect(group.requests());
    for (std::span<Request> left = group.requests(); !left.empty();) {
      const std::size_t ran = pipeline_.run(left);
      if (ran == 0) {
        if (left.size() != 1 || status != RequestParser::Status::complete) parse_again(unread);
        return Stop::alone;
      }
      for (const Request& request : left.first(ran)) unread = unread.subspan(request.bytes);
      left = left.subspan(ran);
      if (!left.empty() && pipeline_.reply_bytes() > reply_batch_bytes) {
        parser_.restart();
        return Stop::full;
      }
    }
    if (session_.close_after_reply) break;
    if (status == RequestParser::Status::incomplete) return Stop::starved;
    if (status == RequestParser::Status::error) {
      pipeline_.fail("ERR " + std::string(parser_.error()));
      session_.close_after_reply = true;
      break;
    }
    if (pipeline_.reply_bytes() > reply_batch_bytes || Shard::current().should_yield()) return Stop::full;
  }
  return Stop::closing;
}

/// The parser has gone beyond the request that `unread` begins with: makes it the parser's last again.
void Connection::parse_again(MutableBytes unread) noexcept {
  parser_.restart();
  (void)parser_.parse(unread);
}

Task<Result<>> Connection::send_replies() {
  OutputBuffer& out = pipeline_.out();
  if (out.empty()) co_return Result<>{};
  if (!within_limits()) co_return fail(Errc::too_large, "replies");
  session_.sending_since = Shard::current().turn_time();
  std::array<Bytes, 64> views;
  std::array<iovec, views.size()> vectors;
  while (!out.empty()) {
    const std::size_t count = out.gather(views);
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
      vectors[i] = {const_cast<std::byte*>(views[i].data()), views[i].size()};
      bytes += views[i].size();
    }
    CO_TRY(count == 1 ? co_await socket_.send(views[0])
                      : co_await socket_.send(std::span(vectors.data(), count)));
    service_.stats().output_bytes += bytes;
    out.consume(bytes);
  }
  session_.sending_since = never;
  co_return Result<>{};
}

/// Brings the shard's sum up to date with what this client holds.
void Connection::account() noexcept {
  const std::size_t bytes = partial_.capacity() + pipeline_.out().size() + session_.multi_bytes;
  service_.buffered_bytes += bytes - accounted_bytes_;
  MemoryBudget& memory = Shard::current().memory();
  if (bytes > accounted_bytes_) memory.take_regardless(Purpose::connections, bytes - accounted_bytes_);
  if (bytes < accounted_bytes_) memory.give(Purpose::connections, accounted_bytes_ - bytes);
  accounted_bytes_ = bytes;
  session_.request_bytes = partial_.bytes().size();
  session_.held_bytes = accounted_bytes_;
}

bool Connection::must_wait_for_memory() noexcept {
  return accounted_bytes_ > held_bytes_at_cap && Shard::current().memory().cap().full();
}

/// Meanwhile caches shrink and memtables are flushed. Not for ever: where requests that nobody can finish
/// hold all the memory, one must give way.
Task<Result<>> Connection::wait_for_memory() {
  for (int step = 0; must_wait_for_memory(); ++step) {
    if (step == memory_wait_steps) co_return fail(Errc::no_memory, "request");
    CO_TRY(co_await sleep_for(memory_wait_step));
  }
  co_return Result<>{};
}

bool Connection::within_limits() {
  account();
  return partial_.bytes().size() <= service_.options().request_bytes_max &&
         (service_.buffered_bytes <= service_.options().shard_buffer_bytes_max || accounted_bytes_ < 4096);
}

}  // namespace ashlar::resp

#include "ashlar/server/resp/transaction.h"

/// EXEC, where its keys are in one partition:
/// 1. On the partition's shard, each command on keys looks up what it needs through one kv::Transaction,
/// runs,
///    and leaves its writes there. Replies go to a stream of their own.
/// 2. What WATCH saw is compared; a change ends it with null.
/// 3. The commit appends all writes as one batch. If a look-up had to wait for a device and something it read
/// was
///    changed meanwhile, the commit says so, and everything begins again, now with the blocks in memory.
/// 4. Back on the connection's shard the replies are put in order with those of the commands without keys,
///    which run now: DBSIZE and the like see what the transaction has written. All wait for the ticket.
/// Where they are in several, 1 to 3 are a StepAcross on the connection's shard, durable when it is
/// committed.

#include <algorithm>
#include <optional>
#include <vector>

#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/server/resp/handlers.h"
#include "ashlar/server/resp/keyspace.h"
#include "ashlar/server/resp/service.h"
#include "ashlar/server/resp/step_across.h"

namespace ashlar::resp {

bool queue_command(Session& session, const CommandSpec& spec, std::span<const std::string_view> arguments,
                   std::uint64_t bytes_max) {
  std::size_t bytes = sizeof(QueuedCommand);
  for (const std::string_view argument : arguments) bytes += argument.size() + sizeof(std::string);
  if (session.multi_bytes + bytes > bytes_max) return false;
  session.multi_bytes += bytes;
  session.queued.push_back({&spec, {arguments.begin(), arguments.end()}});
  return true;
}

namespace {

using Arguments = std::vector<std::string_view>;

/// Whether the command is part of the transaction's one step. The others run behind it.
bool in_step(const CommandSpec& spec) noexcept {
  return spec.route == Route::keys || (spec.flags & CommandFlag::clears_all) != 0;
}

/// A transaction on its way to the shard of its keys and back.
struct Job {
  std::span<const QueuedCommand> queued;
  std::span<const WatchedKey> watched;
  std::vector<Arguments> arguments;  // views of the queued ones
  Place place{};
  bool remote = false;
  Protocol protocol = Protocol::resp2;
  kv::Durability durability = kv::Durability::durable;
  std::uint64_t reply_bytes_max = 0;

  std::optional<ReplyStream> replies;  // made there; one mark for each command on keys
  bool changed = false;                // a watched key was
  std::optional<Error> error;
  std::optional<kv::Ticket> ticket;
};

bool has_changed(const WatchedKey& watched, const kv::Partition& partition) {
  const bool expired = watched.expiry_ms != kv::no_expiry && watched.expiry_ms <= partition.now_ms();
  return expired || partition.changed_since(kv::StoredKey(watched.key).hash(), watched.since);
}

bool watched_changed(const Job& job) {
  return std::ranges::any_of(
      job.watched, [&](const WatchedKey& watched) { return has_changed(watched, *job.place.partition); });
}

/// FLUSHALL and FLUSHDB: the one partition holds everything there is.
void clear_all(kv::Transaction& step, std::span<const std::string_view> arguments, ReplyWriter reply) {
  if (!flush_options_fit(arguments)) return reply.error(syntax_error);
  step.clear();
  reply.ok();
}

/// One attempt; `slots` outlive the transaction. Errc::conflict: again.
Task<Result<kv::Ticket>> attempt(Job& job, std::vector<std::vector<KeySlot>>& slots) {
  kv::Transaction step(*job.place.partition);
  for (std::size_t i = 0; i < job.queued.size(); ++i) {
    const CommandSpec& spec = *job.queued[i].spec;
    if (!in_step(spec)) continue;
    if (spec.route == Route::server) {
      clear_all(step, job.arguments[i], job.replies->writer(job.protocol));
      job.replies->mark();
      continue;
    }
    make_slots(spec, job.arguments[i], slots[i]);
    if (needs_values(spec, job.arguments[i].size())) {
      for (KeySlot& slot : slots[i]) slot.value = CO_TRY(co_await step.get(slot.key));
    }
    ReplyWriter reply = job.replies->writer(job.protocol);
    KeyCall call(job.arguments[i], slots[i], reply, *job.place.partition, job.durability);
    call.join(step);
    if (job.remote) call.copy_values();
    spec.run_keys(call);
    job.replies->mark();
    if (job.replies->out().size() > job.reply_bytes_max) co_return fail(Errc::too_large, "reply of EXEC");
  }
  if (watched_changed(job)) {
    job.changed = true;
    co_return kv::Ticket();
  }
  const Result<kv::Ticket> ticket = step.commit(job.durability);
  if (ticket || ticket.error().code != Errc::busy) co_return ticket;
  CO_TRY(co_await job.place.partition->locks().writable(step.writes(), never));
  co_return fail(Errc::conflict, "transaction");
}

Task<> run_job(Job& job, Service& service) {
  job.replies.emplace(service.chunks());
  std::vector<std::vector<KeySlot>> slots(job.queued.size());
  for (;;) {
    const Result<kv::Ticket> ticket = co_await attempt(job, slots);
    if (!ticket && ticket.error().code == Errc::conflict) {
      job.replies->clear();
      continue;
    }
    if (!ticket) {
      job.error = ticket.error();
    } else {
      job.ticket = *ticket;
    }
    break;
  }
  slots.clear();  // pins go on the shard they came from
  if (!job.remote || !job.ticket) co_return;
  const Result<> durable = co_await *job.ticket;
  if (!durable) job.error = durable.error();
}

/// One attempt across partitions. Errc::conflict: again, to find that a watched key has changed or to do it
/// all on what is there now.
Task<Result<>> attempt_across(Job& job, Service& service) {
  StepAcross step(service, kv::Isolation::serializable);
  for (const WatchedKey& watched : job.watched) {
    const kv::StoredKey key(watched.key);
    const Place& place = service.place_of(key);
    if (co_await invoke(place.home, [&] { return has_changed(watched, *place.partition); })) {
      job.changed = true;
      co_return Result<>{};
    }
    step.expect_unchanged(key, watched.since);
  }
  for (std::size_t i = 0; i < job.queued.size(); ++i) {
    const CommandSpec& spec = *job.queued[i].spec;
    if (!in_step(spec)) continue;
    CO_TRY(co_await step.run(spec, job.arguments[i], job.replies->writer(job.protocol)));
    job.replies->mark();
    if (job.replies->out().size() > job.reply_bytes_max) co_return fail(Errc::too_large, "reply of EXEC");
  }
  co_return co_await step.commit();
}

Task<> run_job_across(Job& job, Service& service) {
  job.replies.emplace(service.chunks());
  for (;;) {
    const Result<> done = co_await attempt_across(job, service);
    if (done) co_return;
    if (done.error().code != Errc::conflict) {
      job.error = done.error();
      co_return;
    }
    job.replies->clear();
  }
}

/// Finds the one partition of all keys; false where there are several. No key at all leaves the place empty.
bool find_place(Service& service, Job& job) {
  const auto visit = [&](std::string_view key) {
    const Place& place = service.place_of(kv::StoredKey(key));
    if (job.place.partition == nullptr) job.place = place;
    return job.place.partition == place.partition;
  };
  for (const WatchedKey& watched : job.watched) {
    if (!visit(watched.key)) return false;
  }
  for (std::size_t i = 0; i < job.queued.size(); ++i) {
    const CommandSpec& spec = *job.queued[i].spec;
    if ((spec.flags & CommandFlag::clears_all) != 0) job.place = service.places().front();
    if (spec.route != Route::keys) continue;
    for (std::size_t k = 0; k < key_count(spec, job.arguments[i].size()); ++k) {
      if (!visit(job.arguments[i][key_index(spec, k)])) return false;
    }
  }
  return true;
}

Task<> reply_all(ServerCall& call, Job& job) {
  call.reply().array(job.queued.size());
  std::size_t next = 0, taken = 0;
  for (std::size_t i = 0; i < job.queued.size(); ++i) {
    const CommandSpec& spec = *job.queued[i].spec;
    if (in_step(spec)) {
      const std::size_t end = job.replies->marks()[next++];
      call.stream.out().append_from(job.replies->out(), end - taken);
      taken = end;
    } else if (spec.route == Route::session) {
      SessionCall inner{job.arguments[i], call.service, call.session, call.reply()};
      spec.run_session(inner);
    } else {
      ServerCall inner{job.arguments[i], call.service, call.session, call.stream};
      co_await spec.run_server(inner);
    }
  }
}

struct Seen {
  kv::Sequence since;
  std::uint64_t expiry_ms = kv::no_expiry;
};

Task<Result<Seen>> look_at(kv::Partition& partition, const kv::StoredKey& key) {
  Seen seen{partition.last_sequence()};
  const auto value = CO_TRY(co_await partition.get(key, {.durability = kv::Durability::none}));
  if (value) seen.expiry_ms = value->expiry_ms;
  co_return seen;
}

}  // namespace

Task<> exec_command(ServerCall& call) {
  Session& session = call.session;
  if (!session.in_multi) {
    call.fail("ERR EXEC without MULTI");
    co_return;
  }
  const bool failed = session.multi_failed;
  const std::vector<QueuedCommand> queued = std::move(session.queued);
  const std::vector<WatchedKey> watched = std::move(session.watched);
  session.end_multi();
  if (failed) {
    call.fail("EXECABORT Transaction discarded because of previous errors.");
    co_return;
  }
  Job job;
  job.queued = queued;
  job.watched = watched;
  for (const QueuedCommand& command : queued) {
    job.arguments.emplace_back(command.arguments.begin(), command.arguments.end());
  }
  job.protocol = session.protocol;
  job.durability = call.service.durability();
  job.reply_bytes_max = call.service.options().reply_bytes_max;
  if (!find_place(call.service, job)) {
    co_await run_job_across(job, call.service);
  } else if (job.place.partition != nullptr) {
    job.remote = job.place.home != call.service.shard();
    Service& there = call.service.at(job.place.home);
    co_await invoke(job.place.home, [&job, &there] { return run_job(job, there); });
    job.replies->out().rehome(call.service.chunks());
  }
  if (job.error) {
    call.fail(error_text(*job.error));
  } else if (job.changed) {
    call.reply().null_array();
  } else {
    const std::size_t begin = call.stream.out().size();
    co_await reply_all(call, job);
    if (job.ticket && !job.remote) call.stream.hold(begin, *job.place.partition, *job.ticket);
  }
}

Task<> watch_command(ServerCall& call) {
  if (call.session.in_multi) {
    call.fail("ERR WATCH inside MULTI is not allowed");
    co_return;
  }
  for (const std::string_view key : call.arguments.subspan(1)) {
    if (key.size() > kv::user_key_bytes_max) {
      call.fail(key_too_long);
      co_return;
    }
    const std::size_t bytes = sizeof(WatchedKey) + key.size();
    if (call.session.multi_bytes + bytes > call.service.options().request_bytes_max) {
      call.fail("ERR transaction is too large");
      co_return;
    }
    const kv::StoredKey stored(key);
    const Place& place = call.service.place_of(stored);
    const Result<Seen> seen = co_await invoke(place.home, [&] { return look_at(*place.partition, stored); });
    if (!seen) {
      call.fail(error_text(seen.error()));
      co_return;
    }
    call.session.multi_bytes += bytes;
    call.session.watched.push_back({std::string(key), seen->since, seen->expiry_ms});
  }
  call.reply().ok();
}

}  // namespace ashlar::resp

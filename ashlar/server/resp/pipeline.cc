#include "ashlar/server/resp/pipeline.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ashlar/runtime/memory/epoch.h"
#include "ashlar/runtime/mesh/invoke.h"
#include "ashlar/runtime/sync/sleep.h"
#include "ashlar/server/resp/handlers.h"
#include "ashlar/server/resp/number.h"
#include "ashlar/server/resp/set_options.h"
#include "ashlar/server/resp/step_across.h"
#include "ashlar/server/resp/transaction.h"

namespace ashlar::resp {

/// A command that waits for a device.
struct Pipeline::Miss {
  explicit Miss(ChunkPool& pool) noexcept : stream(pool) {}
  const CommandSpec* spec = nullptr;
  std::vector<std::string_view> arguments;
  kv::Partition* partition = nullptr;
  std::optional<KeySlot> slot;
  ReplyStream stream;
};

/// The commands of a batch that one other shard runs, in order.
struct Pipeline::Group {
  struct Command {
    const CommandSpec* spec;
    std::size_t first_argument, argument_count;
  };
  ShardId home;
  Protocol protocol = Protocol::resp2;
  kv::Durability durability = kv::Durability::durable;
  std::vector<std::string_view> arguments;
  std::vector<Command> commands;
  std::optional<ReplyStream> replies;  // made on the other shard, one mark for each command
  std::size_t replies_taken = 0;

  static Task<> execute(Group& group, Service& service);
};

namespace {

constexpr std::size_t joined_bytes_max = 1 << 20;  // values of SETs that are written as one batch

/// As Pipeline::expect(), for the keys of one command.
void expect_values(const CommandSpec& spec, std::size_t argument_count, const kv::Partition& partition,
                   std::span<const KeySlot> slots) noexcept {
  std::array<const kv::StoredKey*, RequestGroup::requests_max> keys;
  const bool values = needs_values(spec, argument_count);
  for (std::size_t first = 0; first < slots.size(); first += keys.size()) {
    const std::size_t count = std::min(keys.size(), slots.size() - first);
    for (std::size_t i = 0; i < count; ++i) keys[i] = &slots[first + i].key;
    partition.expect({keys.data(), count}, values);
  }
}

bool has_long_key(const CommandSpec& spec, std::span<const std::string_view> arguments) noexcept {
  for (std::size_t i = 0; i < key_count(spec, arguments.size()); ++i) {
    if (arguments[key_index(spec, i)].size() > kv::user_key_bytes_max) return true;
  }
  return false;
}

/// What is wrong with the word behind a container command; empty where nothing is.
std::string subcommand_problem(const CommandSpec& spec, std::span<const std::string_view> arguments) {
  const auto known = subcommands_of(spec);
  if (known.empty()) return {};
  const auto found =
      std::ranges::find_if(known, [&](const auto& one) { return is_keyword(arguments[1], one.name); });
  if (found == known.end()) return unknown_subcommand(arguments[1], spec.name);
  if (arity_fits(found->arity, arguments.size())) return {};
  return wrong_arity(std::string(spec.name) + '|' + std::string(found->name));
}

/// A browser that a web page made talk to us: its other lines would be commands.
bool is_http(std::string_view word) noexcept {
  return is_keyword(word, "post") || is_keyword(word, "host:");
}

}  // namespace

Pipeline::Pipeline(Service& service, Session& session)
    : service_(service), session_(session), main_(service.chunks()), composed_(service.chunks()) {
  groups_.resize(service.shards());
}
Pipeline::~Pipeline() = default;

KeyRunner Pipeline::runner(ReplyStream& stream) noexcept {
  return {stream, session_.protocol, service_.durability(), service_.stats().keys};
}

void Pipeline::expect(std::span<Request> requests) noexcept {
  std::array<const kv::StoredKey*, RequestGroup::requests_max> keys;
  std::size_t found = 0;
  for (Request& request : requests) {
    if (request.slot == nullptr) continue;
    request.place = &service_.place_of(request.slot->key);
    found += request.place->home == service_.shard() ? 1 : 0;
  }
  if (found < 2) return;  // nothing to overlap with
  for (const Place& place : service_.places()) {
    if (place.home != service_.shard()) continue;
    std::size_t count = 0;
    bool values = false;
    for (const Request& request : requests) {
      if (request.place != &place) continue;
      keys[count++] = &request.slot->key;
      values |= needs_values(*request.spec, request.arguments.size());
    }
    if (count != 0) place.partition->expect({keys.data(), count}, values);
  }
}

std::size_t Pipeline::run(std::span<Request> requests) {
  const std::size_t sets = run_sets(requests);
  if (sets != 0) return sets;
  Request& request = requests.front();
  if (request.arguments.empty()) return 1;
  ++service_.stats().commands;
  waiting_ = nullptr;
  if (session_.reply_mode != ReplyMode::on) [[unlikely]]
    return 0;
  if (service_.pause().holds(true)) [[unlikely]]
    return 0;
  const CommandSpec* const spec = admit(request.spec, request.arguments);
  if (spec == nullptr) return 1;
  if (spec->route == Route::keys) {
    const Step step = request.slot != nullptr
                          ? run_key(*spec, request.arguments, *request.place, *request.slot)
                          : run_keys(*spec, request.arguments);
    if (request.slot != nullptr) request.slot->value.reset();  // a pin, which others would have to mind
    if (step == Step::done) [[likely]]
      return 1;
  } else if (spec->route == Route::session && !(pending() && (spec->flags & CommandFlag::no_auth) != 0)) {
    // Those of the handshake may change the protocol under replies that are under way: they wait.
    SessionCall call{request.arguments, service_, session_, main_.writer(session_.protocol)};
    spec->run_session(call);
    return 1;
  }
  waiting_ = spec;
  return 0;
}

/// A plain SET that memory takes at once.
bool Pipeline::joins_sets(const Request& request) const noexcept {
  return request.slot != nullptr && request.spec->run_keys == &set_command && request.arguments.size() == 3 &&
         request.place->home == service_.shard();
}

/// SETs of one partition that follow each other are one batch: one sequence, one record in the log, one wait.
std::size_t Pipeline::run_sets(std::span<const Request> requests) {
  const Place* const place = requests.front().place;
  const bool plain = session_.authenticated && !session_.in_multi && session_.reply_mode == ReplyMode::on &&
                     misses_in_use_ == 0 && !service_.pause().holds(true) &&
                     (place == nullptr || place->partition->locks().empty());
  if (!plain) [[unlikely]]
    return 0;
  std::array<kv::Write, RequestGroup::requests_max> writes;
  std::size_t count = 0, bytes = 0;
  for (const Request& request : requests) {
    if (!joins_sets(request) || request.place != place) break;
    const std::string_view value = request.arguments[2];
    bytes += value.size();
    if (bytes > joined_bytes_max) break;  // a write that is refused for its size is so alone
    writes[count++] = {.key = &request.slot->key, .value = as_bytes(value)};
  }
  if (count < 2) return 0;
  session_.last_command = requests.front().spec;
  service_.stats().commands += count;
  const std::size_t begin = main_.out().size();
  ReplyWriter reply = main_.writer(session_.protocol);
  const auto ticket = place->partition->append(std::span(writes.data(), count), service_.durability());
  for (std::size_t i = 0; i < count; ++i) ticket ? reply.ok() : reply.error(error_text(ticket.error()));
  if (ticket) main_.hold(begin, *place->partition, *ticket, count);
  return count;
}

/// Whether CLIENT PAUSE … WRITE holds the command: it writes, or it is EXEC and one of those queued does.
bool Pipeline::may_write(std::span<const std::string_view> arguments) const noexcept {
  const auto writes = [](const CommandSpec& spec) { return (spec.flags & CommandFlag::write) != 0; };
  const CommandSpec* spec = find_command(arguments[0]);
  if (spec == nullptr) return false;
  if (!session_.in_multi) return writes(*spec);
  return spec->name == "exec" && std::ranges::any_of(session_.queued, [&](const QueuedCommand& queued) {
           return writes(*queued.spec);
         });
}

/// Checks what Redis checks before it runs or queues a command. Null: the reply is written.
const CommandSpec* Pipeline::admit(const CommandSpec* spec, std::span<const std::string_view> arguments) {
  ReplyWriter reply = main_.writer(session_.protocol);
  const auto refuse = [&](std::string_view error) {
    ++service_.stats().error_replies;
    session_.multi_failed |= session_.in_multi;
    reply.error(error);
    return nullptr;
  };
  if (spec == nullptr) [[unlikely]] {
    if (is_http(arguments[0])) {
      session_.close_after_reply = true;
      return nullptr;
    }
    return refuse(unknown_command(arguments));
  }
  if (!arity_fits(*spec, arguments.size())) [[unlikely]] {
    return refuse(wrong_arity(spec->name));
  }
  if (spec->route != Route::keys && arguments.size() > 1) {
    if (const std::string problem = subcommand_problem(*spec, arguments); !problem.empty()) {
      return refuse(problem);
    }
  }
  if (!session_.authenticated && (spec->flags & CommandFlag::no_auth) == 0) [[unlikely]] {
    return refuse("NOAUTH Authentication required.");
  }
  session_.last_command = spec;
  if (!session_.in_multi || runs_inside_multi(*spec)) [[likely]]
    return spec;
  if ((spec->flags & CommandFlag::clears_all) != 0 && service_.places().size() != 1) {
    return refuse("ERR Command not allowed inside a transaction of a store with several partitions");
  }
  if (spec->route == Route::keys && has_long_key(*spec, arguments)) return refuse(key_too_long);
  if (!queue_command(session_, *spec, arguments, service_.options().request_bytes_max)) {
    return refuse("ERR transaction is too large");
  }
  reply.simple("QUEUED");
  return nullptr;
}

Pipeline::Step Pipeline::run_keys(const CommandSpec& spec, std::span<const std::string_view> arguments) {
  if (key_count(spec, arguments.size()) != 1) return run_several(spec, arguments);
  const std::string_view key = arguments[key_index(spec, 0)];
  if (key.size() > kv::user_key_bytes_max) [[unlikely]] {
    main_.writer(session_.protocol).error(key_too_long);
    return Step::done;
  }
  KeySlot slot(key);
  return run_key(spec, arguments, service_.place_of(slot.key), slot);
}

Pipeline::Step Pipeline::run_key(const CommandSpec& spec, std::span<const std::string_view> arguments,
                                 const Place& place, KeySlot& slot) {
  if (place.home == service_.shard()) [[likely]] {
    if (misses_in_use_ != 0 && conflicts(spec, slot.key)) return Step::wait;
    if (!runner(main_).run_now(spec, arguments, *place.partition, {&slot, 1})) {
      start_miss(spec, arguments, *place.partition, std::move(slot));
    }
    return Step::done;
  }
  if ((spec.flags & CommandFlag::readonly) != 0 && peek(spec, arguments, place, slot)) return Step::done;
  join_group(place.home, spec, arguments);
  return Step::done;
}

/// Several keys: at once where one partition has them, which may be another shard's. Across partitions they
/// wait their turn.
Pipeline::Step Pipeline::run_several(const CommandSpec& spec, std::span<const std::string_view> arguments) {
  std::vector<KeySlot> slots;
  if (!make_slots(spec, arguments, slots)) {
    main_.writer(session_.protocol).error(key_too_long);
    return Step::done;
  }
  const Place& place = service_.place_of(slots[0].key);
  const bool together = std::ranges::all_of(
      slots, [&](const KeySlot& slot) { return service_.place_of(slot.key).partition == place.partition; });
  if (together && place.home != service_.shard()) {
    join_group(place.home, spec, arguments);
    return Step::done;
  }
  if (spec.key_step == 2 && arguments.size() % 2 == 0) {
    main_.writer(session_.protocol).error(wrong_arity(spec.name));
    return Step::done;
  }
  if (misses_in_use_ != 0) return Step::wait;
  if (together) {
    expect_values(spec, arguments.size(), *place.partition, slots);
    return runner(main_).run_now(spec, arguments, *place.partition, slots) ? Step::done : Step::wait;
  }
  return Step::wait;
}

bool Pipeline::conflicts(const CommandSpec& spec, const kv::StoredKey& key) const noexcept {
  for (std::size_t i = 0; i < misses_in_use_; ++i) {
    const Miss& miss = *misses_[i];
    const bool both_read = (miss.spec->flags & spec.flags & CommandFlag::readonly) != 0;
    if (!both_read && miss.slot->key.hash() == key.hash()) return true;
  }
  return false;
}

/// Reads another shard's memory in place (D2), unless this batch has commands under way to it: they may
/// write.
bool Pipeline::peek(const CommandSpec& spec, std::span<const std::string_view> arguments, const Place& place,
                    KeySlot& slot) {
  const auto& group = groups_[place.home.value];
  if (group != nullptr && !group->commands.empty()) return false;
  const epoch::Guard guard;
  kv::Peek found;
  if (!place.partition->peek(slot.key, service_.durability(), found)) return false;
  if (found.present) slot.value = kv::Value{found.value, found.expiry_ms, found.sequence, {}};
  KeyStats& stats = service_.stats().keys;
  ++(found.present ? stats.hits : stats.misses);
  ReplyWriter reply = main_.writer(session_.protocol);
  KeyCall call(arguments, {&slot, 1}, reply, *place.partition, service_.durability());
  spec.run_keys(call);
  return true;
}

void Pipeline::start_miss(const CommandSpec& spec, std::span<const std::string_view> arguments,
                          kv::Partition& partition, KeySlot slot) {
  if (misses_in_use_ == misses_.size()) misses_.push_back(std::make_unique<Miss>(service_.chunks()));
  Miss& miss = *misses_[misses_in_use_++];
  miss.spec = &spec;
  miss.arguments.assign(arguments.begin(), arguments.end());
  miss.partition = &partition;
  miss.slot.emplace(std::move(slot));
  main_.mark();
  order_.push_back({&miss, nullptr});
  tasks_.spawn(run_miss(&miss));
}

Task<> Pipeline::run_miss(Miss* miss) {
  co_await runner(miss->stream).run(*miss->spec, miss->arguments, *miss->partition, {&*miss->slot, 1});
  co_await miss->stream.settle();
}

void Pipeline::join_group(ShardId home, const CommandSpec& spec,
                          std::span<const std::string_view> arguments) {
  auto& group = groups_[home.value];
  if (group == nullptr) group = std::make_unique<Group>();
  group->home = home;
  group->commands.push_back({&spec, group->arguments.size(), arguments.size()});
  group->arguments.insert(group->arguments.end(), arguments.begin(), arguments.end());
  groups_in_use_ = true;
  main_.mark();
  order_.push_back({nullptr, group.get()});
}

/// On the other shard: the same way as here, one after the other, and durable before the replies go back.
Task<> Pipeline::Group::execute(Group& group, Service& service) {
  ReplyStream& replies = group.replies.emplace(service.chunks());
  KeyRunner runner(replies, group.protocol, group.durability, service.stats().keys, true);
  std::vector<KeySlot> slots;
  for (const Command& command : group.commands) {
    const std::span<const std::string_view> arguments(&group.arguments[command.first_argument],
                                                      command.argument_count);
    if (make_slots(*command.spec, arguments, slots)) {
      kv::Partition& partition = *service.place_of(slots[0].key).partition;
      if (!runner.run_now(*command.spec, arguments, partition, slots)) {
        co_await runner.run(*command.spec, arguments, partition, slots);
      }
    }
    replies.mark();
    if (Shard::current().should_yield()) co_await yield();
  }
  slots.clear();  // pins go on the shard they came from
  co_await replies.settle();
}

Task<> Pipeline::run_group(Group* group) {
  group->protocol = session_.protocol;
  group->durability = service_.durability();
  Service& there = service_.at(group->home);
  co_await invoke(group->home, [group, &there] { return Group::execute(*group, there); });
  group->replies->out().rehome(service_.chunks());
}

Task<> Pipeline::finish() {
  if (groups_in_use_) {
    for (const auto& group : groups_) {
      if (group != nullptr && !group->commands.empty()) tasks_.spawn(run_group(group.get()));
    }
  }
  if (!main_.settled()) co_await main_.settle();
  if (pending()) co_await tasks_.join();
  if (pending() || !composed_.empty()) compose();
}

/// Puts the late replies in their places, behind what is composed already.
void Pipeline::compose() {
  std::size_t taken = 0;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    composed_.append_from(main_.out(), main_.marks()[i] - std::exchange(taken, main_.marks()[i]));
    if (Group* const group = order_[i].group) {
      const auto marks = group->replies->marks();
      const std::size_t at = group->replies_taken++;
      composed_.append_from(group->replies->out(), marks[at] - (at == 0 ? 0 : marks[at - 1]));
    } else {
      ReplyStream& late = order_[i].miss->stream;
      composed_.append_from(late.out(), late.out().size());
    }
  }
  composed_.append_from(main_.out(), main_.out().size());
  main_.clear();
  order_.clear();
  for (std::size_t i = 0; i < misses_in_use_; ++i) {
    misses_[i]->slot.reset();
    misses_[i]->stream.clear();
  }
  misses_in_use_ = 0;
  groups_in_use_ = false;
  for (const auto& group : groups_) {
    if (group == nullptr) continue;
    group->commands.clear();
    group->arguments.clear();
    group->replies.reset();
    group->replies_taken = 0;
  }
}

Task<> Pipeline::run_alone(std::span<const std::string_view> arguments) {
  const CommandSpec* spec = std::exchange(waiting_, nullptr);
  co_await finish();
  if (service_.pause().holds(true)) {
    if (!co_await service_.pause().wait(may_write(arguments))) co_return;
  }
  const ReplyMode mode = session_.reply_mode;
  if (mode == ReplyMode::on) {
    if (spec == nullptr) spec = admit(find_command(arguments[0]), arguments);
    if (spec != nullptr) co_await execute(*spec, arguments);
    co_return;
  }
  compose();
  OutputBuffer before = std::move(composed_);
  spec = admit(find_command(arguments[0]), arguments);
  if (spec != nullptr) co_await execute(*spec, arguments);
  co_await finish();
  if (mode == ReplyMode::skip_next && session_.reply_mode == mode) session_.reply_mode = ReplyMode::on;
  if (mode == ReplyMode::skip_next || session_.reply_mode == ReplyMode::off) out().clear();
  before.append_from(out(), out().size());
  composed_.append_from(before, before.size());
}

Task<> Pipeline::execute(const CommandSpec& spec, std::span<const std::string_view> arguments) {
  if (spec.route == Route::session) {
    SessionCall call{arguments, service_, session_, main_.writer(session_.protocol)};
    spec.run_session(call);
    co_return;
  }
  if (spec.route == Route::server) {
    ServerCall call{arguments, service_, session_, main_};
    co_await spec.run_server(call);
    co_return;
  }
  if (run_keys(spec, arguments) == Step::done) co_return;
  std::vector<KeySlot> slots;
  make_slots(spec, arguments, slots);
  const Place& place = service_.place_of(slots[0].key);
  const bool together = std::ranges::all_of(
      slots, [&](const KeySlot& slot) { return service_.place_of(slot.key).partition == place.partition; });
  if (together) {
    co_await runner(main_).run(spec, arguments, *place.partition, slots);
  } else {
    co_await run_across(spec, arguments);
  }
}

/// One step of the whole store; again where others were faster.
Task<> Pipeline::run_across(const CommandSpec& spec, std::span<const std::string_view> arguments) {
  ReplyStream replies(service_.chunks());
  for (;;) {
    StepAcross step(service_, isolation_for(spec, arguments.size()));
    Result<> done = co_await step.run(spec, arguments, replies.writer(session_.protocol));
    if (done) done = co_await step.commit();
    if (done) break;
    replies.clear();
    if (done.error().code == Errc::conflict) continue;
    replies.writer(session_.protocol).error(error_text(done.error()));
    break;
  }
  main_.out().append_from(replies.out(), replies.out().size());
}

}  // namespace ashlar::resp

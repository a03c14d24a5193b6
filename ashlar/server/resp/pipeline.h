#pragma once

/// Execution of what one connection sends, batch by batch.

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ashlar/runtime/sync/scope.h"
#include "ashlar/server/resp/key_call.h"
#include "ashlar/server/resp/service.h"

namespace ashlar::resp {

/// Runs the commands of a batch and gathers their replies in order.
///
///   for each group of requests of the batch:
///     pipeline.expect(requests);
///     while some are left:
///       const std::size_t ran = pipeline.run(requests left);
///       if (ran == 0) co_await pipeline.run_alone(arguments of the first of them);
///   co_await pipeline.finish();
///   … send pipeline.out() …
///
/// 1. A command whose keys live on this shard and in memory runs at once. Its reply is written, and held
/// until
///    what it rests on is durable: finish() waits once for the whole batch.
/// 2. One that must read a device goes on as a task with a reply stream of its own; later ones overtake it
/// unless
///    they touch its key.
/// 3. One whose keys live on another shard is read in place if memory there has it, else joins the group for
/// that
///    shard, which travels as one message.
/// 4. One that visits several shards, or that others must not overtake, asks for run_alone().
///
/// The arguments of a batch must stay where they are until finish(). Owner: the connection's shard.
class Pipeline {
 public:
  Pipeline(Service& service, Session& session);
  ~Pipeline();

  /// Finds the places of the keys, and has what they will touch fetched. To be called before run().
  void expect(std::span<Request> requests) noexcept;
  /// Runs the first request, and those after it that go with it; returns how many. None: it must wait for
  /// what is before it, and run_alone().
  std::size_t run(std::span<Request> requests);
  /// Runs a command after everything before it, whatever it takes.
  Task<> run_alone(std::span<const std::string_view> arguments);
  /// Completes the batch. Afterwards out() is what may be sent, and the next batch may begin once it is
  /// empty.
  Task<> finish();

  /// Commands are under way that refer to the arguments of their requests.
  bool pending() const noexcept { return misses_in_use_ != 0 || groups_in_use_; }
  /// Nothing to wait for: out() may be sent at once.
  bool settled() const noexcept { return main_.settled() && !pending() && composed_.empty(); }
  /// Adds an error that is the last reply of all.
  void fail(std::string_view error) { main_.writer(session_.protocol).error(error); }

  OutputBuffer& out() noexcept { return composed_.empty() ? main_.out() : composed_; }
  /// Bytes of replies written so far: a batch that grows large is finished early.
  std::size_t reply_bytes() noexcept { return main_.out().size() + composed_.size(); }

 private:
  struct Miss;
  struct Group;
  struct Late {  // whose bytes follow the main stream's next mark
    Miss* miss;
    Group* group;
  };

  enum class Step : std::uint8_t { done, wait };

  const CommandSpec* admit(const CommandSpec* spec, std::span<const std::string_view> arguments);
  bool may_write(std::span<const std::string_view> arguments) const noexcept;

  bool joins_sets(const Request& request) const noexcept;
  std::size_t run_sets(std::span<const Request> requests);
  Step run_keys(const CommandSpec& spec, std::span<const std::string_view> arguments);
  Step run_key(const CommandSpec& spec, std::span<const std::string_view> arguments, const Place& place,
               KeySlot& slot);
  Step run_several(const CommandSpec& spec, std::span<const std::string_view> arguments);
  bool peek(const CommandSpec& spec, std::span<const std::string_view> arguments, const Place& place,
            KeySlot& slot);
  void start_miss(const CommandSpec& spec, std::span<const std::string_view> arguments,
                  kv::Partition& partition, KeySlot slot);
  void join_group(ShardId home, const CommandSpec& spec, std::span<const std::string_view> arguments);
  bool conflicts(const CommandSpec& spec, const kv::StoredKey& key) const noexcept;

  Task<> execute(const CommandSpec& spec, std::span<const std::string_view> arguments);
  Task<> run_across(const CommandSpec& spec, std::span<const std::string_view> arguments);
  Task<> run_group(Group* group);
  Task<> run_miss(Miss* miss);
  void compose();

  KeyRunner runner(ReplyStream& stream) noexcept;

  Service& service_;
  Session& session_;
  const CommandSpec* waiting_ = nullptr;  // admitted, for run_alone()
  ReplyStream main_;
  OutputBuffer composed_;
  std::vector<Late> order_;
  std::vector<std::unique_ptr<Miss>> misses_;  // reused; the first misses_in_use_ are this batch's
  std::size_t misses_in_use_ = 0;
  std::vector<std::unique_ptr<Group>> groups_;  // by shard
  bool groups_in_use_ = false;
  TaskScope tasks_;
};

}  // namespace ashlar::resp

#pragma once

/// Commands whose keys are in several partitions, as one step of the whole store.

#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ashlar/kv/store_transaction.h"
#include "ashlar/server/resp/key_call.h"
#include "ashlar/server/resp/service.h"

namespace ashlar::resp {

/// What a command by itself needs: a snapshot to read from, what it read unchanged where it writes by that,
/// or nothing where it writes whatever is there.
kv::Isolation isolation_for(const CommandSpec& spec, std::size_t argument_count) noexcept;

/// One attempt at such a step: commands run one after the other on the connection's shard, see what those
/// before them wrote, and leave their writes to commit(). Owner: one task.
class StepAcross {
 public:
  StepAcross(Service& service, kv::Isolation isolation);

  /// Looks up what the command needs, and runs it. Arguments live as long as the step.
  Task<Result<>> run(const CommandSpec& spec, std::span<const std::string_view> arguments, ReplyWriter reply);
  /// Fails the commit where the key was written after `since`.
  void expect_unchanged(const kv::StoredKey& key, kv::Sequence since) { step_.expect_unchanged(key, since); }
  /// All that was written, durable; `conflict`: nothing, and the replies do not count. Errors of a commit.
  Task<Result<>> commit();

 private:
  Service& service_;
  kv::StoreTransaction step_;
  std::deque<std::vector<std::optional<kv::OwnedValue>>> values_;  // what slots refer to
};

}  // namespace ashlar::resp

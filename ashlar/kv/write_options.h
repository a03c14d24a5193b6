#pragma once

/// What one write may ask for.

#include "ashlar/base/intrusive_list.h"
#include "ashlar/base/result.h"
#include "ashlar/kv/receipt.h"
#include "ashlar/kv/ticket.h"

namespace ashlar::kv {

/// Hears of one write, on the owner shard: exactly once, when it survives power loss (whatever durability it
/// asked for) or never will. The caller's; lives until then. committed() may append, and may end the object.
class CommitCallback : public ListHook<> {
 public:
  virtual void committed(const Result<>& result) noexcept = 0;
  Sequence sequence() const noexcept { return sequence_; }

 protected:
  CommitCallback() = default;
  ~CommitCallback() = default;

 private:
  friend class Partition;
  Sequence sequence_;
};

struct WriteOptions {
  Durability durability = Durability::durable;
  Instant deadline = never;             ///< of write(): append() does not wait
  CommitCallback* on_commit = nullptr;  ///< called where the append succeeds, and only then
  Receipt* receipt = nullptr;           ///< what it cost is added here
};

}  // namespace ashlar::kv

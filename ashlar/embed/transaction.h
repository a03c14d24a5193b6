#pragma once

/// Transactions over the whole database, whichever partitions and families their keys are in.
///
///   for (;;) {
///     ashlar::Transaction step = db.begin().value();
///     auto balance = step.get("alice");
///     step.put("alice", less(balance));
///     step.put("bob", …);
///     auto committed = step.commit();
///     if (committed || committed.error().code != ashlar::Errc::conflict) break;   // else: begin again
///   }

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/error.h"
#include "ashlar/embed/iterator.h"
#include "ashlar/embed/options.h"

namespace ashlar {

namespace embed {
class TransactionState;
}

/// Begins when it is made, and sees the database as it was then and what it wrote itself. Nothing is written
/// before commit(). Ends with commit(), rollback() or the destructor, which rolls back; calls after that give
/// `invalid`. One thread at a time; it may outlive its Db, and then answers `closed`.
///
/// With row locks, put(), erase(), merge() and lock() wait for the key: `timed_out`, or `conflict` where it
/// was written since the transaction began; the transaction can then only be rolled back. Others' writes of a
/// locked key wait too, until their own deadline. `too_large` as Db::put() says.
class Transaction {
 public:
  Transaction(Transaction&&) noexcept;
  Transaction& operator=(Transaction&&) noexcept;
  ~Transaction();

  Result<std::optional<std::string>> get(std::string_view key, Family family = {});
  /// In the order of the keys; what memory has not is read together.
  Result<std::vector<std::optional<std::string>>> multi_get(std::span<const std::string_view> keys,
                                                            Family family = {});
  /// What the transaction wrote before an iterator was positioned is seen; what it writes while one walks may
  /// be. Of `options.read` the family counts. One thread at a time has the transaction and its iterators.
  /// `unsupported` where it is serializable: what a walk did not find could not be checked.
  Result<Iterator> iterate(const IterateOptions& options = {});

  Result<> put(std::string_view key, std::string_view value, std::uint64_t expiry_ms = no_expiry,
               Family family = {});
  Result<> erase(std::string_view key, Family family = {});
  /// As Db::merge(). It conflicts as a put does.
  Result<> merge(std::string_view key, std::string_view operand, Family family = {});
  /// Nobody else writes the key until the end, whatever TransactionOptions::locking says. The first lock
  /// renews what the transaction sees, if it has read nothing yet.
  Result<> lock(std::string_view key, Family family = {});

  /// A place to roll back to; locks are kept.
  using Savepoint = std::size_t;
  Result<Savepoint> savepoint();
  Result<> roll_back_to(Savepoint savepoint);

  /// All writes or none, durable when it returns (TransactionOptions::durability). `conflict`: nothing was
  /// written, and it may be tried again from the beginning; `timed_out`: a lock was not to be had. Errors of
  /// Db::put(): nothing was written; but `stopped` leaves open what the next open of the database will find,
  /// all or nothing.
  Result<> commit();
  /// Ends it; nothing was written.
  void rollback() noexcept;

 private:
  friend class Db;
  explicit Transaction(std::unique_ptr<embed::TransactionState> state) noexcept;

  std::unique_ptr<embed::TransactionState> state_;
};

}  // namespace ashlar

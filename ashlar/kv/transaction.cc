#include "ashlar/kv/transaction.h"

#include <algorithm>

namespace ashlar::kv {

bool Transaction::Read::await_ready() noexcept {
  own_ = transaction_.written(key_);
  return own_ != nullptr || get_.await_ready();
}

Result<std::optional<Value>> Transaction::Read::await_resume() {
  if (own_ != nullptr) {
    if (is_absent(own_->kind, own_->expiry_ms, transaction_.now_ms_)) return std::nullopt;
    return Value{.bytes = own_->value, .expiry_ms = own_->expiry_ms, .sequence = sequence_max, .pin = {}};
  }
  transaction_.watch(key_);
  transaction_.seen_ = std::max(transaction_.seen_, get_.seen());
  return get_.await_resume();
}

const Write* Transaction::written(const StoredKey& key) const noexcept {
  for (const Write& write : writes_) {
    if (write.key->hash() == key.hash() && equal(write.key->bytes(), key.bytes())) return &write;
  }
  return nullptr;
}

void Transaction::put(const StoredKey& key, Bytes value, std::uint64_t expiry_ms) {
  const Bytes copy = as_bytes(values_.emplace_back(as_text(value)));
  const Write write{.key = &key, .value = copy, .kind = Kind::put, .expiry_ms = expiry_ms};
  if (const Write* old = written(key)) {
    writes_[static_cast<std::size_t>(old - writes_.data())] = write;
  } else {
    writes_.push_back(write);
  }
}

void Transaction::erase(const StoredKey& key) {
  const Write write{.key = &key, .value = {}, .kind = Kind::erase};
  if (const Write* old = written(key)) {
    writes_[static_cast<std::size_t>(old - writes_.data())] = write;
  } else {
    writes_.push_back(write);
  }
}

Result<Ticket> Transaction::commit(Durability durability) {
  const auto changed = [&](std::uint64_t hash) { return partition_.changed_since(hash, begin_); };
  if (std::ranges::any_of(watched_, changed)) return fail(Errc::conflict, "transaction");
  if (writes_.empty()) return Ticket(partition_, seen_, durability, false);
  return partition_.append(writes_, durability);
}

Task<Result<bool>> compare_and_swap(Partition& partition, const StoredKey& key, std::optional<Bytes> expected,
                                    std::optional<Bytes> desired, Durability durability) {
  for (;;) {
    Transaction step(partition);
    const auto found = CO_TRY(co_await step.get(key));
    const bool matches = found ? expected && equal(found->bytes, *expected) : !expected;
    if (matches && desired) step.put(key, *desired);
    if (matches && !desired && found) step.erase(key);
    const auto ticket = step.commit(durability);
    if (!ticket && ticket.error().code == Errc::conflict) continue;
    const Ticket written = CO_TRY(ticket);
    CO_TRY(co_await written);
    co_return matches;
  }
}

}  // namespace ashlar::kv

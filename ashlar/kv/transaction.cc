#include "ashlar/kv/transaction.h"

#include <algorithm>
#include <bit>

namespace ashlar::kv {

namespace {

constexpr std::uint32_t unindexed_max = 16;  // writes that are found faster by looking at each

}  // namespace

bool Transaction::Read::await_ready() noexcept {
  own_ = transaction_.written(key_);
  cleared_ = own_ == nullptr && transaction_.cleared_;
  return own_ != nullptr || cleared_ || get_.await_ready();
}

Result<std::optional<Value>> Transaction::Read::await_resume() {
  if (own_ != nullptr) {
    if (is_absent(own_->kind, own_->expiry_ms, transaction_.now_ms_)) return std::nullopt;
    return Value{.bytes = own_->value, .expiry_ms = own_->expiry_ms, .sequence = sequence_max, .pin = {}};
  }
  if (cleared_) return std::nullopt;
  transaction_.watch(key_);
  transaction_.seen_ = std::max(transaction_.seen_, get_.seen());
  return get_.await_resume();
}

const Write* Transaction::written(const StoredKey& key) const noexcept {
  const auto is_key = [&](const Write& write) {
    if (write.kind == Kind::clear) return false;
    return write.key->hash() == key.hash() && equal(write.key->bytes(), key.bytes());
  };
  if (index_.empty()) {
    const auto found = std::ranges::find_if(writes_, is_key);
    return found == writes_.end() ? nullptr : &*found;
  }
  for (std::uint64_t at = key.hash();; ++at) {
    const std::uint32_t position = index_[at % index_.size()];
    if (position == 0) return nullptr;
    if (is_key(writes_[position - 1])) return &writes_[position - 1];
  }
}

void Transaction::write(const Write& write) {
  if (const Write* old = written(*write.key)) {
    writes_[static_cast<std::size_t>(old - writes_.data())] = write;
    return;
  }
  writes_.push_back(write);
  const auto count = static_cast<std::uint32_t>(writes_.size());
  if (count <= unindexed_max) return;
  if (2 * std::size_t{count} > index_.size()) {
    index_.assign(4 * std::bit_ceil(std::size_t{count}), 0);
    for (std::uint32_t position = cleared_ ? 1 : 0; position + 1 < count; ++position) index(position);
  }
  index(count - 1);
}

void Transaction::index(std::uint32_t position) noexcept {
  std::uint64_t at = writes_[position].key->hash();
  while (index_[at % index_.size()] != 0) ++at;
  index_[at % index_.size()] = position + 1;
}

void Transaction::put(const StoredKey& key, Bytes value, std::uint64_t expiry_ms) {
  const Bytes copy = as_bytes(values_.emplace_back(as_text(value)));
  write({.key = &key, .value = copy, .kind = Kind::put, .expiry_ms = expiry_ms});
}

void Transaction::erase(const StoredKey& key) {
  write({.key = &key, .value = {}, .kind = Kind::erase});
}

void Transaction::clear() {
  writes_.assign(1, {.value = {}, .kind = Kind::clear});
  index_.clear();
  cleared_ = true;
}

Result<Ticket> Transaction::commit(const WriteOptions& options) {
  const auto changed = [&](std::uint64_t hash) {
    return partition_.changed_since(hash, begin_) || partition_.locks().committing(hash);
  };
  if (std::ranges::any_of(watched_, changed)) return fail(Errc::conflict, "transaction");
  if (writes_.empty()) return Ticket(partition_, seen_, options.durability, false);
  return partition_.append(writes_, options);
}

Task<Result<bool>> compare_and_swap(Partition& partition, const StoredKey& key, std::optional<Bytes> expected,
                                    std::optional<Bytes> desired, WriteOptions options, bool* ordered) {
  for (;;) {
    Transaction step(partition, options.receipt);
    const auto found = CO_TRY(co_await step.get(key));
    const bool matches = found ? expected && equal(found->bytes, *expected) : !expected;
    if (matches && desired) step.put(key, *desired);
    if (matches && !desired && found) step.erase(key);
    const auto ticket = step.commit(options);
    if (!ticket && ticket.error().code == Errc::conflict) continue;
    const Receipt::Time waited(options.receipt, &Receipt::queue_time);
    if (!ticket && ticket.error().code == Errc::busy) {
      CO_TRY(co_await partition.locks().writable(step.writes(), options.deadline));
      continue;
    }
    const Ticket written = CO_TRY(ticket);
    if (ordered != nullptr && step.write_count() != 0) *ordered = true;
    CO_TRY(co_await written.until(options.deadline));
    co_return matches;
  }
}

}  // namespace ashlar::kv

#include "ashlar/embed/ashlar_c_transaction.h"

#include <algorithm>

#include "ashlar/embed/ashlar_c_handles.h"

using namespace ashlar::c;

using ashlar::Errc;
using ashlar::Family;
using ashlar::Isolation;

ashlar_transaction* ashlar_transaction_begin(ashlar_db* db, const ashlar_transaction_options* given,
                                             ashlar_error* error) {
  const ashlar_transaction_options options =
      known_part(given, ashlar_transaction_options ASHLAR_TRANSACTION_OPTIONS);
  if (!known(options.durability)) {
    unknown_durability(error);
    return nullptr;
  }
  if (options.isolation < ASHLAR_SNAPSHOT || options.isolation > ASHLAR_ISOLATION_NONE) {
    fill(error, {.code = Errc::invalid, .where = "isolation"});
    return nullptr;
  }
  constexpr Isolation levels[] = {Isolation::snapshot, Isolation::serializable, Isolation::none};
  constexpr std::uint64_t lock_wait_us_max = 1'000'000'000'000;  // so that nanoseconds fit
  auto begun = db->db.begin(
      {.isolation = levels[options.isolation],
       .locking = options.row_locks != 0 ? ashlar::Locking::row_locks : ashlar::Locking::optimistic,
       .durability = static_cast<ashlar::Durability>(options.durability),
       .lock_wait = std::chrono::microseconds(std::min(options.lock_wait_us, lock_wait_us_max)),
       .deadline = deadline_after(options.timeout_us)});
  if (finish(begun, error) != ASHLAR_OK) return nullptr;
  return new ashlar_transaction{*std::move(begun)};
}
void ashlar_transaction_destroy(ashlar_transaction* transaction) {
  delete transaction;
}

int ashlar_transaction_get(ashlar_transaction* transaction, ashlar_family family, const char* key,
                           size_t key_bytes, char** value, size_t* value_bytes, ashlar_error* error) {
  return give(transaction->transaction.get({key, key_bytes}, Family::of_number(family)), value, value_bytes,
              error);
}
int ashlar_transaction_put(ashlar_transaction* transaction, ashlar_family family, const char* key,
                           size_t key_bytes, const char* value, size_t value_bytes, uint64_t expiry_ms,
                           ashlar_error* error) {
  return finish(transaction->transaction.put({key, key_bytes}, {value, value_bytes}, expiry_ms,
                                             Family::of_number(family)),
                error);
}
int ashlar_transaction_erase(ashlar_transaction* transaction, ashlar_family family, const char* key,
                             size_t key_bytes, ashlar_error* error) {
  return finish(transaction->transaction.erase({key, key_bytes}, Family::of_number(family)), error);
}
int ashlar_transaction_merge(ashlar_transaction* transaction, ashlar_family family, const char* key,
                             size_t key_bytes, const char* operand, size_t operand_bytes,
                             ashlar_error* error) {
  return finish(
      transaction->transaction.merge({key, key_bytes}, {operand, operand_bytes}, Family::of_number(family)),
      error);
}
int ashlar_transaction_lock(ashlar_transaction* transaction, ashlar_family family, const char* key,
                            size_t key_bytes, ashlar_error* error) {
  return finish(transaction->transaction.lock({key, key_bytes}, Family::of_number(family)), error);
}
ashlar_iterator* ashlar_transaction_iterate(ashlar_transaction* transaction, ashlar_family family,
                                            const char* lower, size_t lower_bytes, const char* upper,
                                            size_t upper_bytes, ashlar_error* error) {
  auto iterator = transaction->transaction.iterate({.lower = text_of(lower, lower_bytes),
                                                    .upper = text_of(upper, upper_bytes),
                                                    .read = {.family = Family::of_number(family)}});
  if (finish(iterator, error) != ASHLAR_OK) return nullptr;
  return new ashlar_iterator{*std::move(iterator)};
}

int ashlar_transaction_savepoint(ashlar_transaction* transaction, size_t* savepoint, ashlar_error* error) {
  const auto made = transaction->transaction.savepoint();
  *savepoint = made.value_or(0);
  return finish(made, error);
}
int ashlar_transaction_roll_back_to(ashlar_transaction* transaction, size_t savepoint, ashlar_error* error) {
  return finish(transaction->transaction.roll_back_to(savepoint), error);
}

int ashlar_transaction_commit(ashlar_transaction* transaction, ashlar_error* error) {
  return finish(transaction->transaction.commit(), error);
}
void ashlar_transaction_rollback(ashlar_transaction* transaction) {
  transaction->transaction.rollback();
}

#pragma once

/* Transactions over the whole database, as ashlar/embed/transaction.h says. One thread at a time.
 *
 *   ashlar_transaction* step = ashlar_transaction_begin(db, NULL, &error);
 *   ashlar_transaction_put(step, 0, "key", 3, "value", 5, 0, &error);
 *   int code = ashlar_transaction_commit(step, &error);       // ASHLAR_CONFLICT: begin again
 *   ashlar_transaction_destroy(step);
 */

#include "ashlar/embed/ashlar_c_types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum ashlar_isolation {
  ASHLAR_SNAPSHOT = 0,      /* reads see one moment; of two that write one key, the first to commit wins */
  ASHLAR_SERIALIZABLE = 1,  /* what was read by key is unchanged at commit, too */
  ASHLAR_ISOLATION_NONE = 2 /* reads see one moment; of two that write one key, the later one counts */
};

/* Begin with `= ASHLAR_TRANSACTION_OPTIONS`. */
typedef struct ashlar_transaction_options {
  size_t struct_bytes;
  int isolation;         /* of ashlar_isolation */
  int row_locks;         /* 1: a key is locked when it is written; 0: conflicts are found at commit */
  int durability;        /* of a commit in one partition */
  uint64_t lock_wait_us; /* longest wait for one lock; it also ends deadlocks */
  uint64_t timeout_us;   /* of all waits for locks together; 0: never */
} ashlar_transaction_options;

#define ASHLAR_TRANSACTION_OPTIONS {sizeof(ashlar_transaction_options), 0, 0, 0, 1000000, 0}

/* `options` may be NULL. NULL where it fails. */
ASHLAR_API ashlar_transaction* ashlar_transaction_begin(ashlar_db* db,
                                                        const ashlar_transaction_options* options,
                                                        ashlar_error* error);
/* Rolls back what was not committed. NULL is allowed. */
ASHLAR_API void ashlar_transaction_destroy(ashlar_transaction* transaction);

/* What the transaction wrote, else what was there when it began. *value is NULL where there is none. */
ASHLAR_API int ashlar_transaction_get(ashlar_transaction* transaction, ashlar_family family, const char* key,
                                      size_t key_bytes, char** value, size_t* value_bytes,
                                      ashlar_error* error);
/* expiry_ms: 0: it stays. */
ASHLAR_API int ashlar_transaction_put(ashlar_transaction* transaction, ashlar_family family, const char* key,
                                      size_t key_bytes, const char* value, size_t value_bytes,
                                      uint64_t expiry_ms, ashlar_error* error);
ASHLAR_API int ashlar_transaction_erase(ashlar_transaction* transaction, ashlar_family family,
                                        const char* key, size_t key_bytes, ashlar_error* error);
ASHLAR_API int ashlar_transaction_merge(ashlar_transaction* transaction, ashlar_family family,
                                        const char* key, size_t key_bytes, const char* operand,
                                        size_t operand_bytes, ashlar_error* error);
/* Nobody else writes the key until the end. */
ASHLAR_API int ashlar_transaction_lock(ashlar_transaction* transaction, ashlar_family family, const char* key,
                                       size_t key_bytes, ashlar_error* error);
/* Bounds of 0 bytes are none. The iterator is destroyed before the transaction. */
ASHLAR_API ashlar_iterator* ashlar_transaction_iterate(ashlar_transaction* transaction, ashlar_family family,
                                                       const char* lower, size_t lower_bytes,
                                                       const char* upper, size_t upper_bytes,
                                                       ashlar_error* error);

/* A place to roll back to; locks are kept. */
ASHLAR_API int ashlar_transaction_savepoint(ashlar_transaction* transaction, size_t* savepoint,
                                            ashlar_error* error);
ASHLAR_API int ashlar_transaction_roll_back_to(ashlar_transaction* transaction, size_t savepoint,
                                               ashlar_error* error);

/* All writes or none. ASHLAR_CONFLICT: none; it may be tried again from the beginning. */
ASHLAR_API int ashlar_transaction_commit(ashlar_transaction* transaction, ashlar_error* error);
ASHLAR_API void ashlar_transaction_rollback(ashlar_transaction* transaction);

#ifdef __cplusplus
}
#endif
